import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseBlockDevices } from './node-facts.ts'

describe('reading lsblk -b -J', () => {
  it('reads what util-linux 2.37 and later print: numbers as sizes', () => {
    const text = `{
   "blockdevices": [
      {
         "name": "loop0",
         "path": "/dev/loop0",
         "size": 3221225472,
         "type": "loop",
         "fstype": "ext4",
         "mountpoint": "/"
      },{
         "name": "sda",
         "path": "/dev/sda",
         "size": 322122547200,
         "type": "disk",
         "fstype": null,
         "mountpoint": null,
         "children": [
            {
               "name": "sda1",
               "path": "/dev/sda1",
               "size": 1048576,
               "type": "part",
               "fstype": null,
               "mountpoint": null
            },{
               "name": "sda2",
               "path": "/dev/sda2",
               "size": 67108864,
               "type": "part",
               "fstype": "ext4",
               "mountpoint": "/oem"
            }
         ]
      },{
         "name": "sr0",
         "path": "/dev/sr0",
         "size": 1073741312,
         "type": "rom",
         "fstype": "iso9660",
         "mountpoint": null
      }
   ]
}`
    const devices = parseBlockDevices(text)
    expect(devices?.map(({ path, type, size }) => [path, type, size])).toEqual([
      ['/dev/loop0', 'loop', 3221225472],
      ['/dev/sda', 'disk', 322122547200],
      ['/dev/sr0', 'rom', 1073741312],
    ])
    expect(devices?.[1]?.children).toEqual([
      {
        path: '/dev/sda1',
        size: 1048576,
        type: 'part',
        fileSystem: undefined,
        mountPoint: undefined,
        children: [],
      },
      {
        path: '/dev/sda2',
        size: 67108864,
        type: 'part',
        fileSystem: 'ext4',
        mountPoint: '/oem',
        children: [],
      },
    ])
  })

  it('reads what versions before 2.33 print: sizes as texts, and no PATH column', () => {
    const text = `{
   "blockdevices": [
      {"name": "vdb", "size": "536870912000", "type": "disk", "fstype": "LVM2_member", "mountpoint": null,
         "children": [
            {"name": "data-lv0", "size": "536866717696", "type": "lvm", "fstype": "xfs", "mountpoint": "/srv"}
         ]
      }
   ]
}`
    expect(parseBlockDevices(text)).toEqual([
      {
        path: '/dev/vdb',
        size: 536870912000,
        type: 'disk',
        fileSystem: 'LVM2_member',
        mountPoint: undefined,
        children: [
          {
            path: '/dev/data-lv0',
            size: 536866717696,
            type: 'lvm',
            fileSystem: 'xfs',
            mountPoint: '/srv',
            children: [],
          },
        ],
      },
    ])
  })

  it('reads multipath: the same device below each of its paths', () => {
    const mpath = {
      name: 'mpatha',
      path: '/dev/mapper/mpatha',
      size: 10,
      type: 'mpath',
      fstype: null,
      mountpoint: null,
    }
    const path = (name: string) => ({
      name,
      path: `/dev/${name}`,
      size: 10,
      type: 'disk',
      fstype: 'mpath_member',
      mountpoint: null,
      children: [mpath],
    })
    const devices = parseBlockDevices(JSON.stringify({ blockdevices: [path('sdb'), path('sdc')] }))
    expect(devices?.map(({ path: own, children }) => [own, children[0]?.path])).toEqual([
      ['/dev/sdb', '/dev/mapper/mpatha'],
      ['/dev/sdc', '/dev/mapper/mpatha'],
    ])
  })

  it('takes a size that is not told for none, which is never enough', () => {
    const text = '{"blockdevices":[{"name":"sdb","size":null,"type":null,"children":null}]}'
    expect(parseBlockDevices(text)).toEqual([
      {
        path: '/dev/sdb',
        size: 0,
        type: 'unknown',
        fileSystem: undefined,
        mountPoint: undefined,
        children: [],
      },
    ])
  })

  it('knows no disks from a machine that has none, and nothing from what is no output of lsblk', () => {
    expect(parseBlockDevices('{"blockdevices": []}')).toEqual([])
    for (const text of [
      '',
      'lsblk: unknown column: PATH',
      '{}',
      '[]',
      'null',
      '{"blockdevices": null}',
      '{"blockdevices": [{"path": "/dev/sdb"}]}',
      '{"blockdevices": [{"name": "sdb", "size": "500G"}]}',
      '{"blockdevices": [{"name": "sdb", "size": 1}',
    ])
      expect(parseBlockDevices(text)).toBeUndefined()
  })

  it('never throws, whatever text or JSON it gets, however deep', () => {
    const device = fc.letrec((tie) => ({
      device: fc.record(
        {
          name: fc.oneof(fc.string(), fc.constant(null)),
          path: fc.oneof(fc.string(), fc.constant(null)),
          size: fc.oneof(fc.double(), fc.string(), fc.constant(null)),
          type: fc.oneof(fc.string(), fc.constant(null)),
          children: fc.oneof(fc.constant(null), fc.array(tie('device'), { maxLength: 3 })),
        },
        { requiredKeys: [] },
      ),
    })).device
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(device).map((blockdevices) => JSON.stringify({ blockdevices })),
    )
    fc.assert(
      fc.property(text, (output) => {
        const devices = parseBlockDevices(output)
        expect(devices === undefined || Array.isArray(devices)).toBe(true)
      }),
    )
    const depth = 20_000
    const deep = '{"name":"a","children":['.repeat(depth) + ']}'.repeat(depth)
    expect(() => parseBlockDevices(`{"blockdevices":[${deep}]}`)).not.toThrow()
  })
})
