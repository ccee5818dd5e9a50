import ssh2 from 'ssh2'

/**
 * A key pair in OpenSSH's formats. ssh2 now and then writes a private key that it cannot read itself (about one in
 * 256: it drops a leading zero byte), so a key counts only when it was read back.
 */
export function createKeyPair(
  type: 'ed25519' | 'ecdsa',
  comment: string,
): { private: string; public: string } {
  for (;;) {
    const pair =
      type === 'ed25519'
        ? ssh2.utils.generateKeyPairSync('ed25519', { comment })
        : ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256, comment })
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair
  }
}
