import { describe, expect, it } from 'vitest'
import { planWith } from '../../engine/testing/run-harness.ts'
import { allOf, ask, withNode } from './testing/ask.ts'
import {
  device,
  emptyDisk,
  factsOf,
  systemDisk,
  type Changes,
  type TestDevice,
} from './testing/node-facts.ts'

describe('the storage pool drive', () => {
  const drive = (sdb: TestDevice, changes: Changes = {}) => {
    const facts = factsOf({ disks: [systemDisk, sdb], ...changes })
    const plan = changes.plan ?? planWith(3)
    return {
      path: ask('node.disk2-path', facts, plan),
      data: ask('node.disk2-data', facts, plan),
    }
  }
  const partitioned = device('/dev/sdb', 500, {
    children: [device('/dev/sdb1', 500, { type: 'part', fstype: 'xfs' })],
  })
  const consenting = withNode(planWith(3), { confirmErase: 'n1' })

  it('must be there: the disks that are there instead are named, and its data is unknown, not absent', () => {
    const facts = factsOf({ disks: [systemDisk, device('/dev/nvme1n1', 500)] })
    const result = ask('node.disk2-path', facts)
    expect(result.state).toBe('fail')
    expect(result.measured).toContain('/dev/sda /dev/nvme1n1')
    expect(ask('node.disk2-data', facts).state).toBe('could-not-run')
  })

  it('must be a disk: a partition or an optical drive of that path is none', () => {
    const { path } = drive(device('/dev/sdb', 500, { type: 'rom' }))
    expect(path.state).toBe('fail')
    expect(path.measured).toContain('not there')
  })

  it('must not be in use, on whatever level the mount is', () => {
    const { path } = drive(
      device('/dev/sdb', 500, {
        children: [
          device('/dev/sdb1', 500, {
            type: 'part',
            children: [device('/dev/mapper/data', 400, { type: 'lvm', mountpoint: '/srv' })],
          }),
        ],
      }),
    )
    expect(path).toMatchObject({ state: 'fail', measured: 'in use: /srv' })
  })

  it('is not erased without consent: a mounted one not even with it', () => {
    const mounted = device('/dev/sdb', 500, { fstype: 'ext4', mountpoint: '/data' })
    const { path } = drive(mounted, { plan: consenting })
    expect(path.state).toBe('fail')
  })

  it('may be empty', () => {
    expect(drive(emptyDisk).data).toMatchObject({ state: 'pass', measured: 'empty' })
  })

  it.each([
    ['a partition', partitioned, ['part /dev/sdb1', 'xfs on /dev/sdb1']],
    ['a file system without partitions', device('/dev/sdb', 500, { fstype: 'LVM2_member' }), ['LVM2_member']],
    [
      'a path of a multipath device',
      device('/dev/sdb', 500, {
        fstype: 'mpath_member',
        children: [device('/dev/mapper/mpatha', 500, { type: 'mpath' })],
      }),
      ['mpath_member', 'mpath /dev/mapper/mpatha'],
    ],
  ])('must not hold %s, unless the plan consents for this node', (_what, disk, traces) => {
    const { data } = drive(disk)
    expect(data.state).toBe('fail')
    for (const trace of traces) expect(data.measured).toContain(trace)
    expect(data.remedy).toContain('confirmErase: n1')
    const consented = drive(disk, { plan: consenting }).data
    expect(consented.state).toBe('pass')
    for (const trace of traces) expect(consented.measured).toContain(trace)
  })

  it('is not erased by a consent that names another node', () => {
    const plan = withNode(planWith(3), { confirmErase: 'n2' })
    expect(drive(partitioned, { plan }).data.state).toBe('fail')
  })

  it('may be in use by the cluster that this plan made, and by no other', () => {
    const used = device('/dev/sdb', 500, {
      children: [device('/dev/mapper/linstor', 500, { type: 'lvm', mountpoint: '/var/lib/kubelet/pods/1' })],
    })
    const own = drive(used, { facts: { clusterName: 'palette' } })
    expect([own.path.state, own.data.state]).toEqual(['pass', 'pass'])
    const foreign = drive(used, { facts: { clusterName: 'another' } })
    expect([foreign.path.state, foreign.data.state]).toEqual(['fail', 'fail'])
  })

  it('is not mixed up with what lsblk calls a disk and is none', () => {
    const others = ['zram0', 'nbd0', 'drbd1000', 'sde'].map((name) =>
      device(`/dev/${name}`, name === 'sde' ? 0 : 4000, { health: 'untold' }),
    )
    const stick = device('/dev/sdf', 4000, { isRemovable: true })
    const facts = factsOf({ disks: [...others, stick, device('/dev/sda', 40), emptyDisk] })
    expect(ask('node.disk1', facts).measured).toBe('/dev/sda: 40 GB')
    expect(ask('node.disk-health', facts).state).toBe('pass')
    const without = factsOf({ disks: [...others, stick, systemDisk] })
    expect(ask('node.disk2', without)).toMatchObject({ state: 'fail', measured: 'there is no second disk' })
  })

  it('is known by a lasting name as well', () => {
    const plan = planWith(3)
    const named = { ...plan, cluster: { ...plan.cluster, storagePoolDrive: '/dev/disk/by-id/wwn-0x5000c5' } }
    const disks = [systemDisk, device('/dev/sdq', 500, { links: ['wwn-0x5000c5', 'scsi-SN'] })]
    const result = ask('node.disk2-path', factsOf({ disks }), named)
    expect(result.state).toBe('pass')
    expect(result.evidence).toContain('/dev/disk/by-id/scsi-SN')
  })

  it('must be a fixed disk that can be written to, and not that of the system', () => {
    const measured = (disk: TestDevice) => ask('node.disk2-path', factsOf({ disks: [systemDisk, disk] }))
    expect(measured(device('/dev/sdb', 500, { isRemovable: true }))).toMatchObject({
      state: 'fail',
      measured: 'removable',
    })
    expect(measured(device('/dev/sdb', 500, { isReadOnly: true }))).toMatchObject({
      state: 'fail',
      measured: 'read-only',
    })
    const swapped = [device('/dev/sda', 500), { ...systemDisk, path: '/dev/sdb' }]
    expect(ask('node.disk2-path', factsOf({ disks: swapped }))).toMatchObject({
      state: 'fail',
      measured: '/dev/sdb is the disk that the system runs from',
    })
    // The disk with the system on it is judged as such, wherever it is.
    expect(ask('node.disk1', factsOf({ disks: swapped })).measured).toBe('/dev/sdb: 300 GB')
  })

  it('that has another name on one node is named there, and where it is on the others', () => {
    const plan = planWith(3)
    const nvme = [
      device('/dev/nvme0n1', 300, { children: systemDisk.children ?? [] }),
      device('/dev/nvme1n1', 500),
    ]
    const facts = [factsOf(), factsOf({ name: 'n2', disks: nvme }), factsOf({ name: 'n3' })]
    const results = allOf(plan, facts).filter(({ id }) => id === 'node.disk2-path')
    expect(results.map(({ state }) => state)).toEqual(['pass', 'fail', 'pass'])
    expect(results[1]?.measured).toBe(
      'not there; disks: /dev/nvme0n1 /dev/nvme1n1; the second disk seems to be /dev/nvme1n1 (500 GB, Virtual disk, serial SN-/dev/nvme1n1)',
    )
    expect(results[1]?.remedy).toContain('On n1 /dev/sdb is 500 GB, Virtual disk, serial SN-/dev/sdb')
    const second = allOf(plan, facts).filter(({ id }) => id === 'node.disk2')
    expect(second.map(({ state }) => state)).toEqual(['pass', 'pass', 'pass'])
  })

  it('is not lost among 60 disks, and nobody has to read all of their names', () => {
    const many = Array.from({ length: 59 }, (_, index) => device(`/dev/nvme${index + 1}n1`, 100))
    expect(drive(emptyDisk, { disks: [systemDisk, ...many, emptyDisk] }).path.state).toBe('pass')
    const { measured } = drive(emptyDisk, { disks: [systemDisk, ...many] }).path
    expect(measured).toMatch(/^not there; disks: \/dev\/sda \/dev\/nvme1n1 .* and 44 more; the second disk/)
  })

  describe('of several paths', () => {
    const mpath = device('/dev/mapper/mpatha', 500, { type: 'mpath' })
    const paths = ['/dev/sdb', '/dev/sdc'].map((path) =>
      device(path, 500, { fstype: 'mpath_member', children: [mpath] }),
    )
    const planOf = (storagePoolDrive: string) => {
      const plan = planWith(3)
      return { ...plan, cluster: { ...plan.cluster, storagePoolDrive } }
    }

    it('is the multipath device, not one of its paths', () => {
      const facts = factsOf({ disks: [systemDisk, ...paths] })
      expect(ask('node.multipath', facts, planOf('/dev/sdb'))).toMatchObject({
        state: 'fail',
        measured: '/dev/sdb is a path of mpatha',
      })
      const right = planOf('/dev/mapper/mpatha')
      for (const id of ['node.multipath', 'node.disk2-path', 'node.disk2-data'] as const)
        expect(ask(id, facts, right).state).toBe('pass')
      expect(ask('node.multipath', facts, planOf('/dev/sdz')).state).toBe('could-not-run')
    })
  })

  it('holds data that only its first blocks know of', () => {
    const { data } = drive(device('/dev/sdb', 500, { signatures: ['linux_raid_member', 'gpt'] }))
    expect(data).toMatchObject({
      state: 'fail',
      measured: 'holds linux_raid_member on /dev/sdb, gpt on /dev/sdb',
      evidence: 'lsblk -b -J; wipefs -n -J /dev/sdb',
    })
  })

  it('counts data once, and known data also where wipefs may not look', () => {
    const both = device('/dev/sdb', 500, { fstype: 'ext4', signatures: ['ext4'] })
    expect(drive(both).data.measured).toBe('holds ext4 on /dev/sdb')
    const denied = device('/dev/sdb', 500, { fstype: 'ext4', signatures: 'denied' })
    expect(drive(denied).data.state).toBe('fail')
    const unseen = drive(device('/dev/sdb', 500, { signatures: 'denied' }), { plan: consenting }).data
    expect(unseen).toMatchObject({
      state: 'could-not-run',
      measured: expect.stringContaining('Permission denied') as unknown,
    })
  })
})

describe('the health of disks', () => {
  const untold = [systemDisk, device('/dev/sdb', 500, { health: 'untold' })]
  const machine = (word: string) => ({ virtualization: { text: `${word}\n` } })

  it('is not asked of virtual ones that do not tell it', () => {
    const result = ask('node.disk-health', factsOf({ disks: untold, ssh: machine('vmware') }))
    expect(result).toMatchObject({ state: 'skipped', measured: expect.stringContaining('vmware') as unknown })
    const failing = [systemDisk, device('/dev/sdb', 500, { health: 'failing' })]
    expect(ask('node.disk-health', factsOf({ disks: failing, ssh: machine('vmware') })).state).toBe('warn')
  })

  it('is for information only where the image has no program for it', () => {
    const without = factsOf({ ssh: { health: { missing: 'smartctl' } } })
    expect(ask('node.disk-health', without)).toMatchObject({ state: 'could-not-run', severity: 'info' })
    expect(ask('node.disk-health', factsOf({ disks: untold }))).toMatchObject({
      state: 'could-not-run',
      severity: 'warn',
    })
  })
})
