import { beforeEach, describe, expect, it } from 'vitest'
import { createManualClock } from '../../engine/testing/manual-clock.ts'
import { vipPlan } from '../../phases/testing/vip-site.ts'
import type { ProgramResult, RunOptions } from '../../network/programs/program-runner.ts'
import type { RemedyContext } from './remedy.ts'
import { stepClock } from './step-clock.ts'
import { wipeDataDisk } from './wipe-data-disk.ts'

const ended = (stdout: string): ProgramResult => ({ kind: 'ended', exitCode: 0, stdout, stderr: '' })

const part = { path: '/dev/sdb1', type: 'part', size: 10, fstype: 'LVM2_member' }
const volume = { path: '/dev/mapper/vg-data', type: 'lvm', size: 10 }
let disk: Record<string, unknown>
let calls: string[]
/** What `findmnt` and `lsblk --inverse` tell. */
let mounts: Record<string, string>
let below: Record<string, string[]>
/** What `wipefs` does to the disk. */
let wipe: () => void

beforeEach(() => {
  disk = { path: '/dev/sdb', type: 'disk', size: 500, model: 'M', serial: 'S1', children: [part] }
  calls = []
  mounts = { '/': 'overlay', '/oem': '/dev/sda1', '/usr/local': '/dev/sda5[/local]' }
  below = { '/dev/sda1': ['/dev/sda'], '/dev/sda5': ['/dev/sda'] }
  wipe = () => {
    disk = { ...disk, children: [] }
  }
})

function context(): RemedyContext {
  const plan = vipPlan()
  const [node] = plan.nodes
  if (node === undefined) throw new TypeError('the plan has a node')
  return {
    plan,
    node,
    clock: createManualClock(),
    signal: new AbortController().signal,
    runner: {
      place: 'n1',
      platform: 'linux',
      run: (program, args) => {
        calls.push([program, ...args].join(' '))
        if (program === 'wipefs' && args.at(-1) === '/dev/sdb') wipe()
        return Promise.resolve(ended(answer(program, args)))
      },
    },
  }
}
function answer(program: string, args: readonly string[]): string {
  const device = args.at(-1) ?? ''
  if (program === 'findmnt')
    return JSON.stringify({
      filesystems: Object.entries(mounts).map(([target, source]) => ({ target, source })),
    })
  if (program === 'lsblk' && args.includes('-s'))
    return [device, ...(below[device] ?? [])].map((path) => `${path}\n`).join('')
  return program === 'lsblk' ? JSON.stringify({ blockdevices: [disk] }) : ''
}
const wiped = () => calls.filter((call) => call.startsWith('wipefs'))

describe('wiping the data disk', () => {
  it('shows what is on it, and empties partitions before the disk', async () => {
    const plan = await wipeDataDisk.plan(context())
    expect(plan).toMatchObject({
      kind: 'offered',
      lines: expect.arrayContaining(['-/dev/sdb1 part LVM2_member']) as string[],
    })
    expect(wiped()).toEqual([])
    expect(await wipeDataDisk.apply(context(), plan, 'n1')).toMatchObject({ kind: 'done' })
    expect(wiped()).toEqual(['wipefs -a /dev/sdb1', 'wipefs -a /dev/sdb'])
  })

  it('does nothing without the name of the node, or with another one', async () => {
    const plan = await wipeDataDisk.plan(context())
    for (const name of [undefined, 'n2', ''])
      expect(await wipeDataDisk.apply(context(), plan, name)).toMatchObject({ kind: 'refused' })
    expect(wiped()).toEqual([])
  })

  it.each([
    ['mounted', () => (disk['children'] = [{ ...part, mountpoint: '/data' }]), 'not-offered'],
    [
      'the disk of an installed system',
      () => (disk['children'] = [{ ...part, label: 'COS_STATE' }]),
      'not-offered',
    ],
    ['without a serial number or WWN', () => (disk['serial'] = null), 'not-offered'],
    [
      'what /usr/local is mounted from, though lsblk shows no mount point',
      () => (mounts['/usr/local'] = '/dev/sdb1[/local]'),
      'not-offered',
    ],
    [
      'below the volume that / is mounted from',
      () => {
        mounts['/'] = '/dev/mapper/vg-root'
        below['/dev/mapper/vg-root'] = ['/dev/sdb1', '/dev/sdb']
      },
      'not-offered',
    ],
    ['part of an active volume', () => (disk['children'] = [{ ...part, children: [volume] }]), 'not-offered'],
    ['a partition', () => (disk['type'] = 'part'), 'not-offered'],
    ['empty', () => (disk['children'] = []), 'not-needed'],
  ])('is not offered for a disk that is %s', async (_, change, kind) => {
    change()
    const plan = await wipeDataDisk.plan(context())
    expect(plan.kind).toBe(kind)
    expect(await wipeDataDisk.apply(context(), plan, 'n1')).toMatchObject({ kind: 'refused' })
    expect(wiped()).toEqual([])
  })

  it.each([['serial'], ['wwn']])('does nothing when another disk has the path by then (%s)', async (key) => {
    disk['wwn'] = '0x1'
    const plan = await wipeDataDisk.plan(context())
    disk[key] = '0x2'
    expect(await wipeDataDisk.apply(context(), plan, 'n1')).toMatchObject({ kind: 'refused' })
    expect(wiped()).toEqual([])
  })

  it('is not offered when the node does not tell what it runs from', async () => {
    const given = context()
    const runner = {
      ...given.runner,
      run: (program: string, args: readonly string[], options: RunOptions) =>
        program === 'findmnt'
          ? Promise.resolve<ProgramResult>({ kind: 'missing' })
          : given.runner.run(program, args, options),
    }
    expect(await wipeDataDisk.plan({ ...given, runner })).toMatchObject({
      kind: 'not-offered',
      reason: expect.stringContaining('findmnt') as string,
    })
  })

  it('says so when something is still there afterwards', async () => {
    const plan = await wipeDataDisk.plan(context())
    wipe = () => undefined
    expect(await wipeDataDisk.apply(context(), plan, 'n1')).toMatchObject({ kind: 'failed' })
  })
})

describe('stepping the clock', () => {
  function clockContext(offset: number, median: number | undefined, obeys = true, delay = 0) {
    const base = context()
    let own = offset
    const set: string[] = []
    return {
      set,
      context: {
        ...base,
        ...(median === undefined ? {} : { median }),
        runner: {
          ...base.runner,
          run: (_program: string, args: readonly string[]) => {
            if (args.includes('-s')) {
              set.push(args.at(-1) ?? '')
              if (obeys) own = Number((args.at(-1) ?? '').slice(1)) * 1000 - base.clock.now() - delay
              return Promise.resolve(ended(''))
            }
            return Promise.resolve(ended(`${((base.clock.now() + own) / 1000).toFixed(3)}\n`))
          },
        },
      },
    }
  }

  it('sets it to the median, and reads it back', async () => {
    const { context: at, set } = clockContext(90_000, 200)
    const plan = await stepClock.plan(at)
    expect(plan).toMatchObject({ kind: 'offered' })
    expect(set).toEqual([])
    expect(await stepClock.apply(at, plan)).toMatchObject({ kind: 'done' })
    expect(set).toHaveLength(1)
  })

  it('is not done when the clock is right, or when there is nothing to set it to', async () => {
    expect(await stepClock.plan(clockContext(300, 200).context)).toMatchObject({ kind: 'not-needed' })
    expect(await stepClock.plan(clockContext(90_000, undefined).context)).toMatchObject({
      kind: 'not-offered',
    })
  })

  it('takes what the command needs until it takes effect into account', async () => {
    const { context: at, set } = clockContext(90_000, 200, true, 9_000)
    expect(await stepClock.apply(at, await stepClock.plan(at))).toMatchObject({ kind: 'done' })
    expect(set).toHaveLength(2)
  })

  it('has failed when the clock shows something else afterwards', async () => {
    const { context: at } = clockContext(90_000, 0, false)
    expect(await stepClock.apply(at, await stepClock.plan(at))).toMatchObject({ kind: 'failed' })
  })
})
