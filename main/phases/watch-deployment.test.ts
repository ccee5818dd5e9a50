import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lifecycleEventsSchema } from '../appliance/local-api-schemas.ts'
import { lifecycleProgress } from './watch-deployment.ts'

const expectedOrder = [
  {
    category: 'cluster',
    order: 2,
    conditionsOrder: [
      { type: 'ClusterReady', typeLabel: 'Cluster is ready', order: 2 },
      { type: 'PacksDeployed', reasonLabel: 'Deploying packs', typeLabel: 'Packs', order: 1 },
    ],
  },
  { category: 'host', order: 1, conditionsOrder: [{ type: 'ImageInstalled', order: 1 }] },
]
const progressOf = (clusterEvents: object[], edgeHostEvents: object[] = []) =>
  lifecycleProgress(lifecycleEventsSchema.parse({ clusterEvents, edgeHostEvents, expectedOrder }))

describe('progress of the deployment', () => {
  it('is unknown as long as the appliance announces nothing', () => {
    expect(lifecycleProgress(lifecycleEventsSchema.parse({}))).toEqual({
      done: 0,
      total: 0,
      current: undefined,
    })
  })

  it('goes through the conditions in the announced order, of categories and within them', () => {
    expect(progressOf([])).toEqual({ done: 0, total: 3, current: 'ImageInstalled' })
    const host = [{ type: 'ImageInstalled', status: 'True' }]
    expect(progressOf([], host)).toEqual({ done: 1, total: 3, current: 'Deploying packs' })
    expect(progressOf([{ type: 'PacksDeployed', status: 'true' }], host)).toEqual({
      done: 2,
      total: 3,
      current: 'Cluster is ready',
    })
  })

  it('is complete, with nothing current, when all of them are true', () => {
    const all = ['ImageInstalled', 'PacksDeployed', 'ClusterReady'].map((type) => ({ type, status: 'True' }))
    expect(progressOf(all)).toEqual({ done: 3, total: 3, current: undefined })
  })

  it('counts no condition that is false or unknown, and none that was not announced', () => {
    const events = [
      { type: 'PacksDeployed', status: 'False' },
      { type: 'ClusterReady', status: 'Unknown' },
      { type: 'ImageInstalled' },
      { type: 'SomethingElse', status: 'True' },
    ]
    expect(progressOf(events)).toEqual({ done: 0, total: 3, current: 'ImageInstalled' })
  })

  it('takes a condition without a type for none', () => {
    const lifecycle = lifecycleEventsSchema.parse({
      clusterEvents: [{ status: 'True' }],
      expectedOrder: [{ conditionsOrder: [{ typeLabel: 'A step without a type' }] }],
    })
    expect(lifecycleProgress(lifecycle)).toEqual({ done: 0, total: 1, current: 'A step without a type' })
  })

  it('never counts more than was announced, and is complete only without a current one', () => {
    const type = fc.constantFrom('a', 'b', 'c', 'd')
    const events = fc.array(fc.record({ type, status: fc.constantFrom('True', 'False') }), { maxLength: 8 })
    const order = fc.array(
      fc.record({
        order: fc.integer({ min: 0, max: 3 }),
        conditionsOrder: fc.array(fc.record({ type, order: fc.integer({ min: 0, max: 3 }) }), {
          maxLength: 4,
        }),
      }),
      { maxLength: 4 },
    )
    fc.assert(
      fc.property(events, events, order, (clusterEvents, edgeHostEvents, announced) => {
        const { done, total, current } = lifecycleProgress(
          lifecycleEventsSchema.parse({ clusterEvents, edgeHostEvents, expectedOrder: announced }),
        )
        expect(total).toBe(announced.flatMap((category) => category.conditionsOrder).length)
        expect(done).toBeLessThanOrEqual(total)
        expect(current === undefined).toBe(done === total)
      }),
    )
  })
})
