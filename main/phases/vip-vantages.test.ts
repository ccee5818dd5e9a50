import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import type { SiteContext } from './site.ts'
import { vipPlan, vipSite } from './testing/vip-site.ts'
import { openLookout, openRunners } from './vip-vantages.ts'

type Access = 'open' | 'closed' | 'away' | 'locked'

/** A context whose nodes let in, or not, by name. */
function contextOf(access: Record<string, Access>, plan: Plan = vipPlan()) {
  const { site, clock } = vipSite({ plan, workstation: undefined })
  const asked: string[] = []
  Object.assign(site.nodes, {
    ssh: (_context: unknown, { name }: { name: string }) => {
      asked.push(name)
      switch (access[name]) {
        case 'open':
          return Promise.resolve({ kind: 'open', connection: {} })
        case 'away':
          return Promise.reject(new AppError({ code: 'UNREACHABLE', title: 'No way.', isTransient: true }))
        case 'locked':
          return Promise.reject(new AppError({ code: 'LOGIN_LOCKED', title: 'It is locked.' }))
        default:
          return Promise.resolve({ kind: 'closed', reason: 'keys only' })
      }
    },
  })
  const context = { services: site, clock, signal: new AbortController().signal } as unknown as SiteContext
  return { context, asked }
}

const names = (open: readonly { readonly node: { readonly name: string } }[]) =>
  open.map(({ node }) => node.name)

describe('the nodes to look from', () => {
  it('are those of the control plane first, the leader before all others, and no more than needed', async () => {
    const plan = vipPlan()
    const hosts = (...pool: string[]) => pool.map((node) => ({ node, nic: 'auto', hostName: null }))
    const withWorker = {
      ...plan,
      nodes: plan.nodes.map((node) => ({ ...node, leader: node.name === 'n3' })),
      cluster: {
        ...plan.cluster,
        pools: {
          controlPlane: { ...plan.cluster.pools.controlPlane, hosts: hosts('n2', 'n3') },
          worker: {
            name: 'worker-pool',
            labels: {},
            taints: [],
            architecture: 'amd64' as const,
            hosts: hosts('n1'),
          },
        },
      },
    }
    const all = { n1: 'open', n2: 'open', n3: 'open' } as const
    expect(names((await openRunners(contextOf(all, withWorker).context, 9)).open)).toEqual(['n3', 'n2', 'n1'])
    const { context, asked } = contextOf(all, withWorker)
    expect(names((await openRunners(context, 2)).open)).toEqual(['n3', 'n2'])
    expect(asked).toEqual(['n3', 'n2'])
  })

  it('are replaced by others where they cannot be used, and the reasons are kept', async () => {
    const { context } = contextOf({ n1: 'closed', n2: 'locked', n3: 'open' })
    const { open, absent } = await openRunners(context, 1)
    expect(names(open)).toEqual(['n3'])
    expect(absent).toMatchObject([
      { name: 'n1', reason: 'no SSH: keys only' },
      { name: 'n2', reason: 'It is locked.' },
    ])
  })

  it('are tried again later when there is none, and one may only be away', async () => {
    const { context } = contextOf({ n1: 'closed', n2: 'away', n3: 'closed' })
    await expect(openRunners(context, 3)).rejects.toMatchObject({ code: 'UNREACHABLE', isTransient: true })
    const { context: other } = contextOf({ n1: 'open', n2: 'away', n3: 'away' })
    expect(names((await openRunners(other, 3)).open)).toEqual(['n1'])
  })

  it('are none without an error where SSH is closed on all', async () => {
    const { vantages, absent } = await openLookout(contextOf({}).context, 3)
    expect(vantages).toEqual([])
    expect(absent.map(({ name }) => name)).toEqual(['workstation', 'n1', 'n2', 'n3'])
  })
})
