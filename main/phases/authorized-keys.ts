/** Where sshd looks for the keys of an account (sshd_config(5), AuthorizedKeysFile). */
export function authorizedKeysFile(user: string): string {
  return `${user === 'root' ? '/root' : `/home/${user}`}/.ssh/authorized_keys`
}

/** Those of the keys that the file does not have; the comment behind a key does not count. */
export function missingKeys(file: string, keys: readonly string[]): string[] {
  const present = new Set(
    file
      .split('\n')
      .filter((line) => !line.trimStart().startsWith('#'))
      .map(blobOf),
  )
  return keys.filter((key) => !present.has(blobOf(key)))
}

/** The file with keys added at its end; what is there stays. */
export function withKeys(file: string, keys: readonly string[]): string {
  const before = file === '' || file.endsWith('\n') ? file : `${file}\n`
  return `${before}${keys.map((key) => `${key.trim()}\n`).join('')}`
}

/** The Base64 part, which is the key: options may stand before its type (sshd(8)). */
function blobOf(line: string): string {
  return (
    line
      .trim()
      .split(/\s+/)
      .find((word) => word.startsWith('AAAA')) ?? line.trim()
  )
}
