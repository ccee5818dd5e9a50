import { randomBytes as cryptoRandomBytes } from 'node:crypto'

const LOWER = 'abcdefghijklmnopqrstuvwxyz'
const UPPER = LOWER.toUpperCase()
const DIGITS = '0123456789'
const SPECIAL = '-_.!@#%'
const ALPHABET = `${LOWER}${UPPER}${DIGITS}${SPECIAL}`
/** Bytes from here on would make the first characters of the alphabet likelier than the others. */
const BIAS_LIMIT = 256 - (256 % ALPHABET.length)

const MINIMUM_LENGTH = 20
const MAXIMUM_LENGTH = 32
const DEFAULT_LENGTH = 24

export interface GeneratePasswordOptions {
  /** 20–32 characters; default 24. */
  length?: number
  /** Names that the password must not contain, whatever their case. */
  userNames?: readonly string[]
  /** Source of random bytes; default the operating system's. */
  randomBytes?: (size: number) => Uint8Array
}

/**
 * A password that every account of the procedure accepts (palette.md §2.8): 20–32 characters, at least one lower-case
 * and upper-case letter, digit and special character of `-_.!@#%`, no user name. It starts with a letter, so that no
 * program takes it for an option or a comment. All passwords that meet this are equally likely.
 */
export function generatePassword(options: GeneratePasswordOptions = {}): string {
  const { length = DEFAULT_LENGTH, userNames = [], randomBytes = cryptoRandomBytes } = options
  if (!Number.isInteger(length) || length < MINIMUM_LENGTH || length > MAXIMUM_LENGTH) {
    throw new RangeError(`A generated password has ${MINIMUM_LENGTH} to ${MAXIMUM_LENGTH} characters.`)
  }
  for (;;) {
    const password = randomText(length, randomBytes)
    if (isAcceptable(password, userNames)) return password
  }
}

function isAcceptable(password: string, userNames: readonly string[]): boolean {
  return (
    [LOWER, UPPER, DIGITS, SPECIAL].every((group) =>
      [...password].some((character) => group.includes(character)),
    ) &&
    /^[A-Za-z]/.test(password) &&
    !userNames.some((name) => name !== '' && password.toLowerCase().includes(name.toLowerCase()))
  )
}

function randomText(length: number, randomBytes: (size: number) => Uint8Array): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length * 2)) {
      if (byte >= BIAS_LIMIT || text.length === length) continue
      text += ALPHABET.charAt(byte % ALPHABET.length)
    }
  }
  return text
}
