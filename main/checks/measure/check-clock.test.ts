import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { read, unread } from '../../appliance/facts/fact.ts'
import type { ProgramResult, ProgramRunner } from '../../network/programs/program-runner.ts'
import { clockFindings, medianOf } from './check-clock.ts'
import { measureClock } from './measure-clock.ts'
import type { ClockReading, Measurements, NodeMeasurement } from './measurements.ts'

const reading = (offset: number, uncertainty = 0.02): ClockReading => ({
  ...{ offset, uncertainty, rehearsal: 0, roundTrip: uncertainty * 2, roundTrips: 5 },
})
const fleet = (...clocks: (ClockReading | undefined)[]): Measurements => ({
  ...{
    asked: ['clock.skew', 'ws.clock'],
    isDiskSpeedAsked: false,
    isFullMesh: true,
    owners: [],
    plannedAddresses: [],
  },
  nodes: clocks.map((clock, index): NodeMeasurement => ({
    ...{ name: `n${index + 1}`, address: `10.0.0.${index + 1}`, isControlPlane: true },
    clock: clock === undefined ? unread('lost', 'date') : read(clock, 'date'),
    own: unread('not asked for', ''),
    ...{ peers: [], dns: [], ntp: [], proxies: [] },
  })),
})
const statesOf = (measurements: Measurements) =>
  clockFindings(measurements).map(({ target, state, severity }) =>
    [target, state, ...(severity === undefined ? [] : [severity])].join(' '),
  )

describe('clocks of nodes', () => {
  it.each([
    [
      [0, 0.1, 0.2],
      ['n1 pass', 'n2 pass', 'n3 pass'],
    ],
    [
      [0, 0, 0.6],
      ['n1 pass', 'n2 pass', 'n3 fail warn'],
    ],
    [
      [0, 0, -2.1],
      ['n1 pass', 'n2 pass', 'n3 fail block'],
    ],
    [
      [86_400, 86_400.1, 0],
      ['n1 pass', 'n2 pass', 'n3 fail block'],
    ],
    // Each is 1.25 s from the median of two, and they differ by 2.5 s.
    [
      [0, 2.5],
      ['n1 fail block', 'n2 fail block'],
    ],
    [[7], ['n1 skipped']],
    [
      [0, undefined],
      ['n1 could-not-run', 'n2 could-not-run'],
    ],
    [
      [undefined, 0, 0.1],
      ['n1 could-not-run', 'n2 pass', 'n3 pass'],
    ],
  ])('ahead by %j s are judged by their median', (offsets, expected) => {
    const clocks = offsets.map((offset) => (offset === undefined ? undefined : reading(offset)))
    expect(statesOf(fleet(...clocks)).slice(0, -1)).toEqual(expected)
  })

  it('that are not known exactly never pass, and still fail', () => {
    const of = (offset: number, uncertainty: number) =>
      statesOf(fleet(reading(0), reading(0), reading(offset, uncertainty)))[2]
    expect(of(0.1, 0.6)).toBe('n3 could-not-run warn')
    expect(of(0.1, 3)).toBe('n3 could-not-run block')
    expect(of(2.5, 3)).toBe('n3 fail block')
    expect(of(0.7, 0.4)).toBe('n3 fail warn')
  })

  it('far from this workstation are told at this workstation', () => {
    const of = (offset: number) => statesOf(fleet(reading(offset), reading(offset), reading(offset))).at(-1)
    expect([of(1), of(-6), of(61)]).toEqual([
      'workstation pass',
      'workstation fail warn',
      'workstation fail block',
    ])
    expect(statesOf(fleet(undefined)).at(-1)).toBe('workstation could-not-run')
  })

  it('have a median that half of them are not above', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 }), (values) => {
        const median = medianOf(values)
        expect(values.filter((value) => value > median).length * 2).toBeLessThanOrEqual(values.length)
        expect(values.filter((value) => value < median).length * 2).toBeLessThanOrEqual(values.length)
      }),
    )
  })
})

describe('asking a node for its time', () => {
  const signal = new AbortController().signal
  const ended = (stdout: string): ProgramResult => ({ kind: 'ended', exitCode: 0, stdout, stderr: '' })

  /** Answers after `delays` of our clock, half of it on each way. */
  function site(delays: readonly number[], answer: (now: number) => ProgramResult) {
    let now = 1_000_000_000
    let calls = 0
    const runner: ProgramRunner = {
      ...{ place: 'n1', platform: 'linux' },
      run: () => {
        const delay = delays[calls++ % delays.length] ?? 0
        now += delay / 2
        const result = answer(now)
        now += delay / 2
        return Promise.resolve(result)
      },
    }
    return { runner, clock: { now: () => now } }
  }

  it('believes the shortest round trip', async () => {
    const { runner, clock } = site([900, 40, 300, 800, 600], (now) =>
      ended(`${((now + 1500) / 1000).toFixed(9)}\n`),
    )
    const found = await measureClock(runner, clock, signal)
    expect(found).toMatchObject({ kind: 'read', value: { roundTrip: 0.04, roundTrips: 5 } })
    if (found.kind === 'read') expect(found.value.offset).toBeCloseTo(1.5, 3)
  })

  it('knows how little whole seconds tell', async () => {
    const { runner, clock } = site([40], (now) => ended(`${Math.floor(now / 1000)}.%N\n`))
    const found = await measureClock(runner, clock, signal)
    if (found.kind === 'unread') throw new Error(found.reason)
    expect(found.value.uncertainty).toBeCloseTo(0.52, 6)
    expect(Math.abs(found.value.offset)).toBeLessThanOrEqual(found.value.uncertainty)
  })

  it.each<[ProgramResult, string]>([
    [ended('Sun Nov 22\n'), 'date says: Sun Nov 22'],
    [{ kind: 'missing' }, 'there is no program date on the node'],
    [{ kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }, 'date did not end within 10 s'],
  ])('says why it is not known: %j', async (result, reason) => {
    const { runner, clock } = site([1], () => result)
    expect(await measureClock(runner, clock, signal)).toMatchObject({ kind: 'unread', reason })
  })
})
