import { describe, expect, it } from 'vitest'
import type { Identity } from '../storage/identity-store.ts'
import { describeHostKey, judgeHostKey } from './host-key-judgement.ts'

const endpoint = { host: '10.10.200.11', port: 22 }
const former = { host: '10.10.200.50', port: 22 }
const seen = { algorithm: 'ssh-ed25519', fingerprint: 'SHA256:new', publicKey: 'ssh-ed25519 AAAA' }
const known = (fingerprint: string): Identity => ({
  algorithm: 'ssh-ed25519',
  fingerprint,
  firstSeen: '2026-01-01T00:00:00.000Z',
})
const storeOf = (host: string, identity: Identity) => ({
  get: (_kind: string, at: { host: string }) => (at.host === host ? identity : undefined),
})

describe('a host key', () => {
  it('is new where nothing is known', () => {
    const judgement = judgeHostKey({ get: () => undefined }, endpoint, seen, [former])
    expect(judgement.status).toBe('new')
    expect(describeHostKey(judgement)).toBe(
      '10.10.200.11:22 shows the host key ssh-ed25519 SHA256:new for the first time.',
    )
  })

  it('matches the one that is known, also from the address that the machine had before', () => {
    for (const host of [endpoint.host, former.host]) {
      const judgement = judgeHostKey(storeOf(host, known('SHA256:new')), endpoint, seen, [former])
      expect(judgement.status).toBe('match')
      expect(describeHostKey(judgement)).toContain('known since 2026-01-01')
    }
  })

  it('has changed where another one is known, and both are shown', () => {
    const judgement = judgeHostKey(storeOf(endpoint.host, known('SHA256:old')), endpoint, seen)
    expect(judgement.status).toBe('changed')
    expect(describeHostKey(judgement)).toMatch(/SHA256:new.*SHA256:old/)
  })
})
