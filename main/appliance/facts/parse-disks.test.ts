import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BlockDevice } from './node-facts.ts'
import { parseBlockDevices, parseDeviceLinks, parseHealth, parseSignatures } from './parse-disks.ts'

/** `recorded/`: written by the real programs. `documented/`: put together in the form that their makers document. */
function sample(name: string): string {
  return readFileSync(new URL(name, import.meta.url), 'utf8')
}

const simple = (device: object) => JSON.stringify({ blockdevices: [{ name: 'sda', size: 1, ...device }] })

describe('block devices', () => {
  it('of util-linux 2.37 (Ubuntu 22.04) have several mount points', () => {
    const disks = parseBlockDevices(sample('documented/lsblk-util-linux-2.37.json'))
    expect(disks?.map(({ path, type, size }) => [path, type, size])).toEqual([
      ['/dev/loop0', 'loop', 66_621_440],
      ['/dev/sda', 'disk', 322_122_547_200],
      ['/dev/sr0', 'rom', 1_073_741_312],
    ])
    const [, sda, sr0] = disks ?? []
    expect(sda).toMatchObject({
      vendor: 'VMware',
      model: 'Virtual_disk',
      serial: undefined,
      wwn: undefined,
      partitionTable: 'gpt',
      isRotational: true,
      isRemovable: false,
      mountPoints: [],
    })
    expect(sda?.children.map(({ label, mountPoints }) => [label, mountPoints])).toEqual([
      [undefined, []],
      ['COS_OEM', ['/oem']],
      ['COS_PERSISTENT', ['/var/lib/kubelet', '/usr/local']],
    ])
    expect(sr0).toMatchObject({ type: 'rom', isRemovable: true, transport: 'sata' })
  })

  it('of util-linux 2.31 are strings, without paths', () => {
    const [sda] = parseBlockDevices(sample('documented/lsblk-util-linux-2.31.json')) ?? []
    expect(sda).toMatchObject({
      path: '/dev/sda',
      size: 256_060_514_304,
      isRotational: false,
      isRemovable: false,
      model: 'Samsung SSD 860',
      wwn: '0x5002538e40000000',
    })
    expect(sda?.children[0]?.children[0]).toMatchObject({
      type: 'lvm',
      kernelName: 'dm-0',
      mountPoints: ['/'],
    })
  })

  it('may be sixty', () => {
    const names = Array.from({ length: 60 }, (_, index) => `sd${index < 26 ? '' : 'a'}${String.fromCharCode(97 + (index % 26))}${index}`) // prettier-ignore
    const blockdevices = names.map((name, index) => ({ name, kname: name, path: `/dev/${name}`, size: 4e12 + index, type: 'disk', children: [{ name: `${name}1`, size: index }] })) // prettier-ignore
    const disks = parseBlockDevices(JSON.stringify({ blockdevices }))
    expect(disks?.map(({ path }) => path)).toEqual(names.map((name) => `/dev/${name}`))
    expect(disks?.[59]?.children[0]).toMatchObject({ path: `/dev/${names[59] ?? ''}1`, size: 59 })
  })

  it('may be none', () => {
    expect(parseBlockDevices('{"blockdevices": []}')).toEqual([])
  })

  it('with slashes in their names have a path', () => {
    expect(parseBlockDevices(simple({ name: 'cciss!c0d0' }))?.[0]?.path).toBe('/dev/cciss/c0d0')
  })

  it.each([
    '',
    'lsblk: unknown column',
    '{',
    '{"blockdevices": {}}',
    simple({ size: null }),
    simple({ size: '1G' }),
    simple({ size: -1 }),
    simple({ size: 1.5 }),
    simple({ name: '' }),
    simple({ rota: 'yes' }),
    simple({ children: [{ name: 'sda1' }] }),
  ])('are unread when they are only half told: %s', (text) => {
    expect(parseBlockDevices(text)).toBeUndefined()
  })

  it('of any JSON are never invented', () => {
    const count = (devices: readonly BlockDevice[]): number =>
      devices.reduce((sum, { children }) => sum + 1 + count(children), 0)
    fc.assert(
      fc.property(fc.json(), (text) => {
        const wrapped = `{"blockdevices": ${text}}`
        const disks = parseBlockDevices(wrapped)
        if (disks === undefined) return
        // Each device that comes out has a name of its own that went in.
        expect(count(disks)).toBeLessThanOrEqual((wrapped.match(/"name"/gu) ?? []).length)
      }),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => parseBlockDevices(text)).not.toThrow()
      }),
    )
  })
})

describe('links to devices', () => {
  it('are read from ls, in any form of its dates', () => {
    const text = [
      'total 0',
      'lrwxrwxrwx 1 root root  9 Nov 22 10:28 scsi-35000c50000000001 -> ../../sda',
      'lrwxrwxrwx    1 root     root            13 Jan  1  1970 nvme-eui.0025 -> ../../nvme0n1',
      'lrwxrwxrwx 1 root root 10 2026-11-22 10:28 dm-name-vg0-root -> ../../dm-0',
      'drwxr-xr-x 2 root root 40 Nov 22 10:28 folder',
      'lrwxrwxrwx 1 root root 9 Nov 22 10:28 broken ->',
      '',
    ].join('\n')
    expect(parseDeviceLinks(text)).toEqual([
      { name: 'scsi-35000c50000000001', device: 'sda' },
      { name: 'nvme-eui.0025', device: 'nvme0n1' },
      { name: 'dm-name-vg0-root', device: 'dm-0' },
    ])
  })
})

describe('signatures', () => {
  const gpt = '{"signatures": [{"device":"sdb","offset":"0x200","type":"gpt","uuid":"","label":null}]}'

  it('are what wipefs finds, also behind a warning', () => {
    expect(parseSignatures(gpt, 0)).toEqual([{ type: 'gpt', uuid: undefined, label: undefined }])
    expect(parseSignatures(`wipefs: /dev/sdb: ignoring nested table\n${gpt}\n`, 0)).toHaveLength(1)
  })

  it('are none only when wipefs ended well', () => {
    expect(parseSignatures('{"signatures": []}', 0)).toEqual([])
    expect(parseSignatures('\n', 0)).toEqual([])
    expect(parseSignatures('', 1)).toBeUndefined()
    expect(parseSignatures('{"signatures": []}', 124)).toBeUndefined()
    expect(parseSignatures('{"signatures": [', 0)).toBeUndefined()
    expect(parseSignatures('something else', 0)).toBeUndefined()
    expect(parseSignatures('{}', 0)).toBeUndefined()
  })
})

describe('health', () => {
  it('is what the disk itself says', () => {
    expect(parseHealth('{"smartctl":{"exit_status":0},"smart_status":{"passed":true}}')).toEqual({ kind: 'told', health: 'passed' }) // prettier-ignore
    expect(parseHealth('{"smartctl":{"exit_status":8},"smart_status":{"passed":false}}')).toEqual({ kind: 'told', health: 'failing' }) // prettier-ignore
  })

  it('is unknown of a disk that says nothing, with its words', () => {
    const denied =
      '{"smartctl":{"messages":[{"string":"Smartctl open device: /dev/sda failed: Permission denied","severity":"error"}],"exit_status":2}}'
    expect(parseHealth(denied)).toEqual({
      kind: 'untold',
      reason: 'Smartctl open device: /dev/sda failed: Permission denied',
    })
    for (const text of ['', '{', '{"smart_status":{}}', '{"smart_status":{"passed":"yes"}}', 'PASSED']) {
      expect(parseHealth(text)).toEqual({ kind: 'untold', reason: undefined })
    }
  })
})
