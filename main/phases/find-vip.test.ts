import { describe, expect, it } from 'vitest'
import type { RunEvent } from '../../shared/events/index.ts'
import { findVip } from './find-vip.ts'
import { vipOf, type SiteContext } from './site.ts'
import { eventsOf, vipPlan, vipSite } from './testing/vip-site.ts'

const host = (last: number) => ({ mac: `02:00:00:00:00:0${String(last)}` })
const literal = vipPlan({ vip: '10.0.0.12' })

/** Events of an earlier process of the same run. */
function earlier(...events: readonly (Partial<RunEvent> & { type: RunEvent['type'] })[]): RunEvent[] {
  const shape = {
    runId: 'run-1',
    site: 'rig-7',
    planDigest: 'a'.repeat(64),
    mode: 'apply',
    phases: [],
    nodes: [],
  }
  return [{ type: 'run-started', ...shape }, ...events].map(
    (event, index) => ({ ...event, seq: index + 1, time: '2026-01-01T00:00:00.000Z' }) as RunEvent,
  )
}
const chosen = (address: string) => ({ type: 'vip-chosen', phase: 'find-vip', address }) as const
const clusterAsked = {
  type: 'change-started',
  phase: 'deploy-cluster',
  key: 'create-cluster',
  what: 'create it',
} as const

describe('vip: auto', () => {
  it('becomes the free address that is farthest from all that are used, with evidence', async () => {
    const { site, run } = vipSite({ hosts: { '10.0.0.13': host(1), '10.0.0.14': host(2) } })
    const { result, events } = await run([findVip])
    expect(result).toMatchObject({ outcome: 'done', errors: [] })
    // Used or reserved are 1 to 4 (plan), 9 (workstation), 13 and 14.
    expect(['10.0.0.6', '10.0.0.7', '10.0.0.11']).toContain(site.vip)
    expect(eventsOf(events, 'vip-chosen')).toMatchObject([{ phase: 'find-vip', address: site.vip }])
    const [evidence] = eventsOf(events, 'evidence')
    expect(evidence?.statement).toBe(`Nobody answers for ${site.vip ?? ''}`)
    expect(evidence?.seen).toMatch(/No answer to \d+ ARP requests from workstation/)
    expect(evidence?.seen).toMatch(/Confidence \d\d %/)
    expect(evidence?.seen).toMatch(/14 of 14 addresses asked: \d+ free, \d+ used, 0 doubtful/)
    expect(evidence?.seen).toContain('n1: no SSH: the server allows keys only')
  })

  it('is never an address of the plan, even where nobody answers for it', async () => {
    const plan = vipPlan({
      dns: { primary: '10.0.0.5', alternate: '10.0.0.6' },
      ntp: ['10.0.0.7', 'ntp.example.com'],
      proxy: { http: 'http://10.0.0.8:3128', https: 'http://10.0.0.10:3128' },
    })
    const moving = {
      ...plan,
      nodes: plan.nodes.map((node, index) =>
        index === 2
          ? {
              ...node,
              nic: { ...node.nic, mode: 'static' as const, address: '10.0.0.11', gateway: '10.0.0.12' },
            }
          : { ...node, ntp: ['10.0.0.13'] },
      ),
    }
    const { site, run } = vipSite({ plan: moving })
    await run([findVip])
    // All others of 10.0.0.1 to 10.0.0.14 belong to something.
    expect(site.vip).toBe('10.0.0.14')
  })

  it('is refused when nothing is free, with what was seen', async () => {
    const hosts = Object.fromEntries([5, 6, 7, 8].map((last) => [`10.0.0.${String(last)}`, host(last)]))
    const plan = vipPlan({ network: '10.0.0.0/29' })
    const { site, run } = vipSite({ plan, hosts, workstation: '10.0.0.6' })
    const { result, events } = await run([findVip])
    expect(result.errors).toMatchObject([{ code: 'NO_FREE_ADDRESS', isTransient: false }])
    expect(result.errors[0]?.detail).toMatch(/6 of 6 addresses asked: 6 used, 0 doubtful/)
    expect(site.vip).toBeUndefined()
    expect(eventsOf(events, 'vip-chosen')).toEqual([])
  })

  it.each([
    ['is somewhere else', undefined],
    ['is on another network', '192.168.7.7'],
  ])('is refused when no node can be used and the workstation %s', async (_name, workstation) => {
    const { result } = await vipSite({ workstation }).run([findVip])
    const [error] = result.errors
    expect(error).toMatchObject({ code: 'NO_VANTAGE', isTransient: false })
    expect(error?.detail).toContain('n2: no SSH: the server allows keys only')
    expect(error?.remedies[0]).toContain('site.vip')
  })

  it('is the address of the cluster when there is one; its own answer is no conflict', async () => {
    const { site, run, asked } = vipSite({
      clusterVip: '10.0.0.7',
      hosts: { '10.0.0.7': host(1) },
    })
    const { result, events } = await run([findVip])
    expect(result.outcome).toBe('done')
    expect(site.vip).toBe('10.0.0.7')
    expect(asked).toEqual([])
    expect(eventsOf(events, 'vip-chosen')).toMatchObject([{ address: '10.0.0.7' }])
    expect(eventsOf(events, 'evidence')[0]?.seen).toContain('10.0.0.7')
  })
})

describe('a resumed run', () => {
  it('keeps the address that it had chosen, after asking for it again', async () => {
    const { site, run, asked } = vipSite()
    const { events } = await run([findVip], { earlier: earlier(chosen('10.0.0.12')) })
    expect(site.vip).toBe('10.0.0.12')
    expect(eventsOf(events, 'vip-chosen')).toEqual([])
    expect(eventsOf(events, 'evidence')).toMatchObject([{ statement: 'Nobody answers for 10.0.0.12' }])
    expect(asked.some(({ addresses }) => addresses.includes('10.0.0.12'))).toBe(true)
  })

  it('says why, and chooses another one, when somebody has it now', async () => {
    const { site, run } = vipSite({ hosts: { '10.0.0.12': host(5) } })
    const { result, events } = await run([findVip], { earlier: earlier(chosen('10.0.0.12')) })
    expect(result.outcome).toBe('done')
    expect(site.vip).not.toBe('10.0.0.12')
    expect(eventsOf(events, 'vip-chosen').map(({ address }) => address)).toEqual([site.vip])
    expect(eventsOf(events, 'warning')[0]?.text).toMatch(
      /10\.0\.0\.12, which this run had chosen, cannot stay: .*02:00:00:00:00:05 answers/,
    )
  })

  it.each([
    [
      'is outside of the network of the plan now',
      vipPlan({ network: '10.0.0.0/29' }),
      '10.0.0.12',
      'no address of',
    ],
    [
      'is the gateway of the plan now',
      vipPlan({ gateway: '10.0.0.12' }),
      '10.0.0.12',
      'the gateway of the plan',
    ],
  ])('chooses another one when the address %s', async (_name, plan, before, why) => {
    const { site, run } = vipSite({ plan, workstation: '10.0.0.6' })
    const { events } = await run([findVip], { earlier: earlier(chosen(before)) })
    expect(site.vip).not.toBe(before)
    expect(site.vip).toBeDefined()
    expect(eventsOf(events, 'warning')[0]?.text).toContain(why)
  })

  it.each([
    ['the answer was lost', []],
    ['the answer is known', [{ ...clusterAsked, type: 'change-finished', outcome: 'done' } as never]],
  ])('keeps it, whoever answers there, once the cluster was asked for and %s', async (_name, finished) => {
    const { site, run, asked } = vipSite({ hosts: { '10.0.0.12': host(5) } })
    const { result } = await run([findVip], {
      earlier: earlier(chosen('10.0.0.12'), clusterAsked, ...finished),
    })
    expect(result.outcome).toBe('done')
    expect(site.vip).toBe('10.0.0.12')
    expect(asked).toEqual([])
  })

  it('may choose anew after the request for the cluster was refused', async () => {
    const refused = { ...clusterAsked, type: 'change-finished', outcome: 'failed' } as never
    const { site, run } = vipSite({ hosts: { '10.0.0.12': host(5) } })
    await run([findVip], { earlier: earlier(chosen('10.0.0.12'), clusterAsked, refused) })
    expect(site.vip).not.toBe('10.0.0.12')
    expect(site.vip).toBeDefined()
  })
})

describe('an address of the plan', () => {
  it('is asked for, and nothing else is offered in its place', async () => {
    const { site, run } = vipSite({ plan: literal })
    const { result, events } = await run([findVip])
    expect(result.outcome).toBe('done')
    expect(site.vip).toBe('10.0.0.12')
    expect(site.vipSeenFreeAt).toBeDefined()
    expect(eventsOf(events, 'vip-chosen')).toEqual([])
    expect(eventsOf(events, 'evidence')).toMatchObject([{ statement: 'Nobody answers for 10.0.0.12' }])
  })

  it('is refused when somebody has it: who, and where that was heard', async () => {
    const { result } = await vipSite({ plan: literal, hosts: { '10.0.0.12': host(5) } }).run([findVip])
    const [error] = result.errors
    expect(error).toMatchObject({ code: 'VIP_IN_USE', phase: 'find-vip' })
    expect(error?.detail).toMatch(/workstation heard 02:00:00:00:00:05 by neighbour-table/)
    expect(error?.remedies.join(' ')).toContain('auto')
  })

  it('goes on with a warning where a router answers for everything, and duplicate address detection too', async () => {
    const proxy = { mac: '02:00:00:00:00:99', answersProbes: true }
    const { site, run } = vipSite({ plan: literal, segment: { proxy } })
    const { result, events } = await run([findVip])
    expect(result.outcome).toBe('done')
    expect(site.vip).toBe('10.0.0.12')
    expect(site.vipSeenFreeAt).toBeUndefined()
    expect(eventsOf(events, 'evidence')).toEqual([])
    expect(eventsOf(events, 'warning').map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/It is not certain that 10\.0\.0\.12 is free: .*02:00:00:00:00:99/),
    )
  })

  it('goes on with a warning when a DHCP server would give it away', async () => {
    const offers = [{ address: '10.0.0.12', server: '10.0.0.1', gateways: [], nameServers: [] }]
    const { events } = await vipSite({ plan: literal, segment: { offers } }).run([findVip])
    expect(eventsOf(events, 'warning')).toMatchObject([
      { text: expect.stringContaining('10.0.0.1 offers it') as string },
    ])
  })

  it('goes on with a warning, and is never called free, when nobody could ask', async () => {
    const { site, run } = vipSite({ plan: literal, workstation: undefined })
    const { result, events } = await run([findVip])
    expect(result.outcome).toBe('done')
    expect(site.vip).toBe('10.0.0.12')
    expect(eventsOf(events, 'evidence')).toEqual([])
    expect(eventsOf(events, 'warning')).toMatchObject([
      { text: expect.stringMatching(/nothing is known about it.*no SSH/) as string },
    ])
  })

  it('may be what the plan says elsewhere too, such as the endpoint of the internal registry', async () => {
    const plan = {
      ...literal,
      cluster: { ...literal.cluster, registry: { ...literal.cluster.registry, endpoint: '10.0.0.12' } },
    }
    expect((await vipSite({ plan }).run([findVip])).result.outcome).toBe('done')
  })
})

describe('a dry run', () => {
  const dryRun = { mode: 'dry-run' } as const

  it('looks like a run, and changes nothing', async () => {
    const { site, run } = vipSite()
    const { result, events } = await run([findVip], dryRun)
    expect(result.outcome).toBe('done')
    expect(site.vip).toBeDefined()
    expect(eventsOf(events, 'change-planned')).toEqual([])
  })

  it('goes on without an address when the nodes are not reachable now', async () => {
    const { site, run } = vipSite({ workstation: undefined })
    const { AppError } = await import('../../shared/errors/index.ts')
    const away = new AppError({ code: 'UNREACHABLE', title: 'There is no way to n1.', isTransient: true })
    Object.assign(site.nodes, { ssh: () => Promise.reject(away) })
    const { result, events } = await run([findVip], dryRun)
    expect(result.outcome).toBe('done')
    expect(eventsOf(events, 'warning')).toMatchObject([
      { text: expect.stringContaining('There is no way to n1') as string },
    ])
    const context = { services: site, mode: 'dry-run' } as SiteContext
    expect(vipOf(context)).toContain('free address')
    expect(() => vipOf({ ...context, mode: 'apply' })).toThrow('before it is known')
  })

  it('fails where the run would fail', async () => {
    const { result } = await vipSite({ workstation: undefined }).run([findVip], dryRun)
    expect(result.errors).toMatchObject([{ code: 'NO_VANTAGE' }])
  })
})
