import { AppError } from '../../shared/errors/index.ts'

/** Shorter secrets cannot be protected: redacting them would tear ordinary words apart, and say what they are. */
export const MINIMUM_SECRET_LENGTH = 4

const REPLACEMENT = '[redacted]'
/** Base64 characters that a fragment must have to be redacted on its own; shorter ones occur by chance. */
const MINIMUM_FRAGMENT_LENGTH = 8

/** Takes the known secrets out of any text, in the forms in which programs write them. */
export interface Redactor {
  /** The text with every known secret replaced by `[redacted]`. Does not depend on `this`. */
  readonly redact: (text: string) => string
  /** From now on `secret` is redacted too. Throws `SECRET_TOO_SHORT` under four characters. */
  readonly add: (secret: string) => void
}

/**
 * Covers each secret as it is, and its JSON, URL (RFC 3986 and form), shell-quoted and Base64 form; Base64 also where
 * the secret is part of something larger, as in `Authorization: Basic` (RFC 7617).
 */
export function createRedactor(secrets: Iterable<string> = []): Redactor {
  const forms = new Set<string>()
  let expression: RegExp | undefined
  const add = (secret: string): void => {
    if ([...secret].length < MINIMUM_SECRET_LENGTH) throw tooShort()
    for (const form of formsOf(secret)) forms.add(form)
    // Longest first: a form may contain another.
    const alternatives = [...forms].toSorted((a, b) => b.length - a.length).map(escapeForRegExp)
    expression = new RegExp(alternatives.join('|'), 'g')
  }
  for (const secret of secrets) add(secret)
  return {
    add,
    redact: (text) => (expression === undefined ? text : text.replace(expression, REPLACEMENT)),
  }
}

function tooShort(): AppError {
  return new AppError({
    code: 'SECRET_TOO_SHORT',
    title: 'A secret is too short to be protected.',
    detail: `Landfall removes secrets from everything it writes; under ${MINIMUM_SECRET_LENGTH} characters that is not possible.`,
    remedies: [`Choose a secret of at least ${MINIMUM_SECRET_LENGTH} characters, better of 15 and more.`],
  })
}

function formsOf(secret: string): string[] {
  const url = encodeURIComponent(secret)
  const strictUrl = url.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  const formEncoded = new URLSearchParams([['', secret]]).toString().slice(1)
  const texts = [secret, url, strictUrl, formEncoded, secret.replaceAll("'", `'\\''`)]
  const json = JSON.stringify(secret).slice(1, -1)
  return [
    ...texts,
    ...texts.map((text) => text.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase())),
    json,
    // Once more inside of a JSON text that is a string in another one.
    JSON.stringify(json).slice(1, -1),
    ...base64Forms(Buffer.from(secret, 'utf8')),
  ]
}

/** Base64 of the secret alone, and the part of the Base64 of any longer text that depends on the secret only. */
function base64Forms(bytes: Buffer): string[] {
  const whole = bytes.toString('base64')
  const fragments = [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    // Characters that hold bits of what stands before or after the secret are left out.
    const start = Math.ceil((shift * 8) / 6)
    const end = Math.floor(((shift + bytes.length) * 8) / 6)
    return encoded.slice(start, end)
  })
  return [whole, whole.replace(/=+$/, ''), ...fragments]
    .filter((form, index) => index < 2 || form.length >= MINIMUM_FRAGMENT_LENGTH)
    .flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')])
}

function escapeForRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
