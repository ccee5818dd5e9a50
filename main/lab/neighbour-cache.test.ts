import { describe, expect, it } from 'vitest'
import { createManualClock } from './manual-clock.ts'
import { NeighbourCache, neighbourDurations } from './neighbour-cache.ts'
import { Scheduler } from './scheduler.ts'
import { CommandKilled, CommandTime } from './ssh/command-time.ts'

function cacheWith(owners: Map<string, string>, timeScale = 1) {
  const clock = createManualClock(0)
  const asked: number[] = []
  const cache = new NeighbourCache(new Scheduler(clock), neighbourDurations(timeScale), (address) => {
    asked.push(clock.now())
    return owners.get(address) ?? null
  })
  const state = () => cache.list()[0]?.state
  return { cache, clock, asked, state }
}

describe('a neighbour table of the lab', () => {
  it('asks three times, a second apart, and asks anew when it is needed again', async () => {
    const { cache, clock, asked, state } = cacheWith(new Map())
    expect(cache.use('10.0.0.1')).toBeNull()
    expect(cache.use('10.0.0.1')).toBeNull()
    await clock.advance(2999)
    expect(state()).toBe('INCOMPLETE')
    await clock.advance(1)
    expect(state()).toBe('FAILED')
    expect(state()).toBe('FAILED')
    expect(asked).toEqual([0, 1000, 2000])
    cache.use('10.0.0.1')
    expect(cache.list()).toMatchObject([{ state: 'INCOMPLETE', probes: 4 }])
  })

  it('finds a host that wakes up between two requests', async () => {
    const owners = new Map<string, string>()
    const { cache, clock, state } = cacheWith(owners)
    cache.use('10.0.0.1')
    await clock.advance(1500)
    owners.set('10.0.0.1', '52:54:00:00:00:01')
    expect(state()).toBe('INCOMPLETE')
    await clock.advance(500)
    expect(cache.list()).toMatchObject([{ state: 'REACHABLE', mac: '52:54:00:00:00:01', probes: 6 }])
  })

  it('keeps to the old owner until its knowledge is old, or somebody announces himself', async () => {
    const owners = new Map([['10.0.0.1', 'a']])
    const { cache, clock } = cacheWith(owners)
    expect(cache.use('10.0.0.1')).toBe('a')
    owners.set('10.0.0.1', 'b')
    await clock.advance(29_000)
    expect(cache.use('10.0.0.1')).toBe('a')
    await clock.advance(1000)
    expect(cache.use('10.0.0.1')).toBe('b')
    owners.set('10.0.0.1', 'c')
    cache.learn('10.0.0.1', 'c')
    cache.learn('10.0.0.2', 'c')
    expect(cache.use('10.0.0.1')).toBe('c')
    expect(cache.list()).toHaveLength(1)
  })

  it('is seen asking once by whoever reads it late, and then to have failed', async () => {
    const { cache, clock, asked, state } = cacheWith(new Map())
    cache.use('10.0.0.1')
    await clock.advance(60_000)
    // Another address was read, not this one.
    expect(cache.list('10.0.0.2')).toEqual([])
    expect(state()).toBe('INCOMPLETE')
    expect(state()).toBe('FAILED')
    expect(asked).toHaveLength(3)
  })

  it('asks anew although nobody ever read it', async () => {
    const owners = new Map<string, string>()
    const { cache, clock } = cacheWith(owners)
    cache.use('10.0.0.1')
    await clock.advance(60_000)
    owners.set('10.0.0.1', 'a')
    expect(cache.use('10.0.0.1')).toBe('a')
  })

  it('forgets what it is told to forget', () => {
    const owners = new Map([['10.0.0.1', 'a']])
    const { cache } = cacheWith(owners)
    cache.use('10.0.0.1')
    owners.set('10.0.0.1', 'b')
    cache.forget('10.0.0.1')
    expect(cache.list()).toEqual([])
    expect(cache.use('10.0.0.1')).toBe('b')
  })

  it('leaves enough real time to look at it, however fast the clock is', () => {
    expect(neighbourDurations(1)).toEqual({ requestInterval: 1000, reachable: 30_000 })
    expect(neighbourDurations(20)).toEqual({ requestInterval: 1000, reachable: 30_000 })
    for (const scale of [60, 100, 1000]) {
      const { requestInterval, reachable } = neighbourDurations(scale)
      expect(requestInterval).toBe(Math.min(6000, scale * 50))
      expect(reachable / scale).toBeGreaterThanOrEqual(500)
    }
  })
})

describe('the time of a command', () => {
  it('ends at the tightest limit, and says which one it was', async () => {
    const waits: number[] = []
    const time = new CommandTime((milliseconds) => {
      waits.push(milliseconds)
      return Promise.resolve()
    })
    const outer = time.within(5000)
    const inner = outer.within(3000)
    await inner.sleep(2000)
    await expect(inner.sleep(2000)).rejects.toBe(inner.over)
    await expect(outer.sleep(2500)).rejects.toBe(outer.over)
    expect(waits).toEqual([2000, 1000, 2000])
    await time.sleep(60_000)
  })

  it('of commands that run side by side is not added up', async () => {
    const limited = new CommandTime(() => Promise.resolve()).within(3000)
    const copies = [limited.copy(), limited.copy()]
    await Promise.all(copies.map((copy) => copy.sleep(2000)))
    for (const copy of copies) await expect(copy.sleep(2000)).rejects.toBe(limited.over)
    await limited.sleep(3000)
  })

  it('is over at once when nobody listens any more', async () => {
    const time = new CommandTime(() => Promise.reject(new CommandKilled())).within(9000)
    await expect(time.sleep(1)).rejects.toBeInstanceOf(CommandKilled)
  })
})
