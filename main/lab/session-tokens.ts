import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

const payloadSchema = z.object({
  sub: z.string(),
  exp: z.number(),
  use: z.enum(['access', 'refresh']),
  jti: z.string(),
  generation: z.number(),
})

export type TokenVerdict =
  { kind: 'valid'; user: string; id: string } | { kind: 'expired' } | { kind: 'invalid' }

/** Signed session tokens (compact JWS, HS256) with an expiry in simulated time. */
export class SessionTokens {
  readonly #key = randomBytes(32)
  readonly #revoked = new Set<string>()
  #count = 0
  #generation = 0

  issue(user: string, use: 'access' | 'refresh', expiresAt: number): string {
    const id = String(++this.#count)
    const payload = {
      sub: user,
      exp: Math.ceil(expiresAt / 1000),
      use,
      jti: id,
      generation: this.#generation,
    }
    const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(payload)}`
    return `${content}.${this.#sign(content).toString('base64url')}`
  }

  check(token: string, use: 'access' | 'refresh', now: number): TokenVerdict {
    const [header = '', body = '', signature = ''] = token.split('.')
    const given = Buffer.from(signature, 'base64url')
    const wanted = this.#sign(`${header}.${body}`)
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return { kind: 'invalid' }
    const payload = payloadSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString()))
    if (payload.use !== use || this.#revoked.has(payload.jti) || payload.generation !== this.#generation) {
      return { kind: 'invalid' }
    }
    if (payload.exp * 1000 <= now) return { kind: 'expired' }
    return { kind: 'valid', user: payload.sub, id: payload.jti }
  }

  revoke(id: string): void {
    this.#revoked.add(id)
  }

  /** Ends every session: the password was changed. */
  revokeAll(): void {
    this.#generation += 1
  }

  #sign(content: string): Buffer {
    return createHmac('sha256', this.#key).update(content).digest()
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
