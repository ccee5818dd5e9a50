import { describe, expect, it } from 'vitest'
import { createManualClock } from '../engine/testing/manual-clock.ts'
import { factsAt, simulatedVantage } from '../network/discovery/testing/simulated-segment.ts'
import type { Vantage } from '../network/discovery/vantage.ts'
import { briefly } from './brief-vantage.ts'

const addresses = ['10.0.0.5', '10.0.0.6']
const used = new Map([['10.0.0.5', [{ mac: '02:00:00:00:00:05' }, { mac: '02:00:00:00:00:15' }]]])

function vantageWith(options: { hasArping?: boolean } = {}): Vantage {
  const clock = createManualClock()
  clock.runFree()
  return simulatedVantage(
    { hosts: used },
    { name: 'n1', kind: 'node', facts: factsAt('10.0.0.2', 24), clock, ...options },
  )
}

const ask = { interface: 'eth0', signal: new AbortController().signal }

describe('a node that is asked for a few addresses', () => {
  it('asks by arping, which hears every machine that claims one', async () => {
    let swept = 0
    const { observations } = await briefly(vantageWith()).sweep(addresses, {
      ...ask,
      onSwept: () => (swept += 1),
    })
    expect(observations.map(({ address, method, answer, macs }) => [address, method, answer, macs])).toEqual([
      ['10.0.0.5', 'arping', 'answered', ['02:00:00:00:00:05', '02:00:00:00:00:15']],
      ['10.0.0.6', 'arping', 'silent', []],
    ])
    expect(swept).toBeGreaterThan(0)
    expect(await briefly(vantageWith()).scan(addresses, ask)).toBeUndefined()
  })

  it('uses its neighbour table where there is no arping, or where it may not be used', async () => {
    const without = await briefly(vantageWith({ hasArping: false })).sweep(addresses, ask)
    expect(new Set(without.observations.map(({ method }) => method))).toEqual(new Set(['neighbour-table']))

    const vantage = vantageWith()
    const refused: Vantage = {
      ...vantage,
      probe: async (some, options) => {
        const answers = await vantage.probe(some, options)
        const observations = answers?.observations ?? []
        return {
          observations: observations.map((seen) => ({ ...seen, answer: 'unclear' as const, macs: [] })),
          warnings: [],
        }
      },
    }
    const { observations } = await briefly(refused).sweep(addresses, ask)
    expect(new Set(observations.map(({ method }) => method))).toEqual(new Set(['neighbour-table']))
  })

  it('uses its neighbour table for many', async () => {
    const many = Array.from({ length: 17 }, (_, index) => `10.0.0.${String(100 + index)}`)
    const { observations } = await briefly(vantageWith()).sweep(many, ask)
    expect(new Set(observations.map(({ method }) => method))).toEqual(new Set(['neighbour-table']))
  })
})
