import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSocketTable, parseSs } from './parse-sockets.ts'

describe('sockets that listen', () => {
  it('are read from ss, with and without the column of the state', () => {
    const text = [
      'LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:*    users:(("systemd-resolve",pid=300,fd=14))',
      'LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=1,fd=3))',
      'LISTEN 0      4096               *:5080            *:*',
      'LISTEN 0      128             [::]:22           [::]:*    users:(("sshd",pid=1,fd=4))',
      '0      4096   [fe80::1]%eth0:8080           [::]:*',
      'LISTEN 0      4096   [::ffff:127.0.0.1]:6443  *:*',
    ].join('\n')
    expect(parseSs(text)).toEqual([
      { address: '127.0.0.53', port: 53, interface: 'lo', process: 'systemd-resolve' },
      { address: '0.0.0.0', port: 22, interface: undefined, process: 'sshd' },
      { address: '::', port: 5080, interface: undefined, process: undefined },
      { address: '::', port: 22, interface: undefined, process: 'sshd' },
      { address: 'fe80::1', port: 8080, interface: 'eth0', process: undefined },
      { address: '::ffff:127.0.0.1', port: 6443, interface: undefined, process: undefined },
    ])
    expect(parseSs('')).toEqual([])
  })

  it('are unread when a line is something else', () => {
    expect(parseSs('LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\nsegmentation fault\n')).toBeUndefined()
    expect(parseSs('LISTEN 0 128 0.0.0.0:99999 0.0.0.0:*\n')).toBeUndefined()
  })

  it('are read from the tables of the kernel', () => {
    const text = [
      '   0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0',
      '   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0',
      '   0: 00000000000000000000000000000000:13D8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0',
      '   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0',
      '  10: B80D01200000000067452301EFCDAB89:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0',
    ].join('\n')
    expect(parseSocketTable(text)?.map(({ address, port }) => [address, port])).toEqual([
      ['127.0.0.1', 631],
      ['0.0.0.0', 22],
      ['::', 5080],
      ['::1', 8080],
      ['2001:db8::123:4567:89ab:cdef', 80],
    ])
    expect(parseSocketTable('')).toEqual([])
    expect(parseSocketTable('  sl  local_address rem_address   st\n')).toBeUndefined()
  })

  it('of any text are undefined or as many as it has lines', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const sockets of [parseSs(text), parseSocketTable(text)]) {
          expect((sockets ?? []).length).toBeLessThanOrEqual(text.split('\n').length)
        }
      }),
    )
  })
})
