import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { authorizedKeysFile, missingKeys, withKeys } from './authorized-keys.ts'

const blob = 'AAAAC3NzaC1lZDI1NTE5AAAAIGxvd2VyIGlzIG5vdCB1cHBlciBpbiBiYXNlNjQhISEh'
const key = `ssh-ed25519 ${blob} ops@desk`

describe('the keys of an account', () => {
  it('lie where sshd looks', () => {
    expect(authorizedKeysFile('root').split('/')).toEqual(['', 'root', '.ssh', 'authorized_keys'])
    expect(authorizedKeysFile('kairos')).toBe('/home/kairos/.ssh/authorized_keys')
  })

  it.each([
    ['the same line', key],
    ['another comment', `ssh-ed25519 ${blob} somebody else`],
    ['no comment', `ssh-ed25519 ${blob}`],
    ['options before it', `from="10.0.0.0/8",no-pty ssh-ed25519 ${blob} ops`],
    ['tabs and a carriage return', `ssh-ed25519\t${blob}\r`],
  ])('are not added again: %s', (_, line) => {
    expect(missingKeys(`# mine\n${line}\n`, [key])).toEqual([])
  })

  it.each([
    ['nothing', ''],
    ['another key', `ssh-ed25519 ${blob.replace('x', 'y')} ops@desk\n`],
    ['a key that differs in case', `ssh-ed25519 ${blob.replace('C3', 'c3')} ops@desk\n`],
    ['the key in a comment', `# ssh-ed25519 ${blob}\n`],
    ['a longer key that begins alike', `ssh-ed25519 ${blob}AAAA\n`],
  ])('are added where there is %s', (_, file) => {
    expect(missingKeys(file, [key])).toEqual([key])
  })

  it('leave all that is there, also a last line without its end', () => {
    expect(withKeys('# mine\nold', [key])).toBe(`# mine\nold\n${key}\n`)
    expect(withKeys('', [`${key}\n`])).toBe(`${key}\n`)
  })

  it('are all there afterwards, once, whatever the file was', () => {
    const someKey = fc
      .tuple(fc.base64String({ minLength: 20 }), fc.stringMatching(/^[a-z@ ]{0,8}$/))
      .map(([data, comment]) => `ssh-ed25519 AAAA${data.replaceAll('=', '')} ${comment}`.trim())
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.array(someKey, { maxLength: 4 }), (file, keys) => {
        const written = withKeys(file, missingKeys(file, keys))
        expect(written.startsWith(file)).toBe(true)
        expect(missingKeys(written, keys)).toEqual([])
        expect(withKeys(written, missingKeys(written, keys))).toBe(written)
      }),
    )
  })
})
