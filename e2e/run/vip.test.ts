import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openIdentityStore } from '../../main/storage/index.ts'
import { checkReportSchema, type CheckResult } from '../../shared/checks/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import {
  expectDone,
  expectFailure,
  expectInstalledOnce,
  leaseFileOf,
  readEvents,
  threeNodes,
  withSite,
  type PlanInput,
  type TestSite,
} from './harness.ts'
import { nameOf, type KillMoment } from './kill-moment.ts'

/** Milliseconds; most of it is waiting for a place, see withSite. */
const timeout = 400_000

/** Everybody but one answers for the addresses that the plan leaves, some of them by ARP only. */
const free = '10.10.200.9'
const extraHosts = [6, 7, 8, 10, 11, 12, 13, 14].map((last) => ({
  address: `10.10.200.${String(last)}`,
  mac: `52:54:00:00:00:${String(last).padStart(2, '0')}`,
  kind: last % 2 === 0 ? ('drops' as const) : ('answers' as const),
}))

function smallNetwork(vip: string, more: Partial<PlanInput['site']> = {}): PlanInput {
  const plan = threeNodes()
  return {
    ...plan,
    site: {
      name: 'rig',
      network: '10.10.200.0/28',
      gateway: '10.10.200.1',
      vip,
      // Nobody answers there; the plan gives it to somebody all the same.
      ntp: ['10.10.200.5'],
      ...more,
    },
    appliance: { variant: 'A' },
    nodes: plan.nodes.map((node, index) => ({ ...node, address: `10.10.200.${String(2 + index)}` })),
  }
}

const crowded = { scenario: { extraHosts } }
const withoutProof = { vipProof: false }

/** Whether one of the nodes answers at the address. */
async function isRaised(site: TestSite, address: string): Promise<boolean> {
  try {
    const socket = await site.lab.dialler.dial({ host: address, port: 22 }, { timeoutMilliseconds: 5000 })
    socket.destroy()
    return true
  } catch {
    return false
  }
}

/** Looks, at the moment when the cluster is asked for, whether a node still has the address. */
function watchRequest(site: TestSite, address: string): { readonly raised: Promise<boolean>[] } {
  const raised: Promise<boolean>[] = []
  site.onExchange = ({ method, path }) => {
    if (method === 'POST' && path === '/v1/edge-mgmt/cluster') raised.push(isRaised(site, address))
  }
  return { raised }
}

function chosenIn(events: readonly RunEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'vip-chosen' ? [event.address] : []))
}

function evidenceIn(events: readonly RunEvent[], phase: string): string[] {
  return events.flatMap((event) =>
    event.type === 'evidence' && event.phase === phase ? [`${event.statement}: ${event.seen}`] : [],
  )
}

describe.concurrent('vip: auto', { timeout }, () => {
  test('becomes the one free address, which is proven, and is used everywhere', () => {
    const proxy = { http: 'http://10.10.200.5:3128' }
    const plan = smallNetwork('auto', { proxy })
    return withSite({ ...crowded, plan }, async (site) => {
      const { raised } = watchRequest(site, free)
      const events = await expectDone(site.run())
      await expectInstalledOnce(site, plan, free)
      expect(chosenIn(events)).toEqual([free])
      expect(await Promise.all(raised)).toEqual([false])
      expect(events.at(-1)).toMatchObject({ consoleUrl: `https://${free}/system` })
      expect(evidenceIn(events, 'find-vip')[0]).toMatch(
        /^Nobody answers for 10\.10\.200\.9: No answer to \d+ ARP/,
      )
      expect(evidenceIn(events, 'prove-vip')[0]).toMatch(
        /^10\.10\.200\.9 works: .*the hand-over took \d+ ms.*n2 → n1: .*n1 → n2: /,
      )
      expect(evidenceIn(events, 'deploy-cluster')[0]).toMatch(/^Nobody answers for 10\.10\.200\.9/)
      for (const { configurations } of site.lab.snapshot().nodes)
        expect(configurations.noProxy.split(',')).toContain(free)

      const body = JSON.stringify(
        site.exchanges.find(({ method, path }) => method === 'POST' && path === '/v1/edge-mgmt/cluster')
          ?.requestBody,
      )
      expect(body).toContain(`"host":"${free}"`)
      expect(body).not.toContain('"auto"')
      const names = [...body.matchAll(/"(LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS[^"]+)"/g)].map(
        ([, pem = '']) => new X509Certificate(Buffer.from(pem, 'base64')).subjectAltName,
      )
      expect(names).toContain(`IP Address:${free}`)

      // A later run takes the address from the cluster; nobody looks for one, although it is used now.
      const again = await expectDone(site.run())
      expect(chosenIn(again)).toEqual([free])
      expect(again.filter((event) => event.type === 'change-started')).toEqual([])
      expect(evidenceIn(again, 'prove-vip')[0]).toContain('not tried out any more')

      const store = () => openIdentityStore(join(site.stateFolder, 'practice', 'rig', 'identities.json'))
      expect((await store()).get('tls', { host: free, port: 443 })).toBeDefined()
      const planFile = join(site.folder, 'plan.yaml')
      const { exitCode } = await site.landfall('identity', 'forget', planFile, 'console', '--practice').ended
      expect(exitCode).toBe(0)
      expect((await store()).get('tls', { host: free, port: 443 })).toBeUndefined()
    })
  })

  test('is refused when nothing is free, before anything is altered', () => {
    const plan = smallNetwork('auto')
    const all = [...extraHosts, { address: free, mac: '52:54:00:00:00:99' }]
    return withSite({ plan, scenario: { extraHosts: all } }, async (site) => {
      await expectFailure(site.run(), { code: 'NO_FREE_ADDRESS', phase: 'find-vip', says: [/14 of 14/] })
      expect(changesIn(site)).toEqual([])
    })
  })
})

/** Requests that may have altered something: everything but reading and logging in. */
function changesIn(site: TestSite): string[] {
  return site.exchanges
    .filter(({ method, path }) => method !== 'GET' && !/\/(sys)?login$|\/validate$/.test(path))
    .map(({ method, path }) => `${method} ${path}`)
}

describe.concurrent('an address of the plan', { timeout }, () => {
  test('that a silent machine has stops the run before anything is altered: who, and from where it was heard', () => {
    const plan = smallNetwork('10.10.200.8')
    return withSite({ ...crowded, plan }, async (site) => {
      await expectFailure(site.run(), {
        code: 'VIP_IN_USE',
        phase: 'find-vip',
        says: [/52:54:00:00:00:08/, /n1 heard/],
      })
      expect(changesIn(site)).toEqual([])
      // The way out that the error names.
      const corrected = smallNetwork('auto', withoutProof)
      await site.writePlan(corrected)
      const events = await expectDone(site.run('--resume'))
      expect(chosenIn(events)).toEqual([free])
      await expectInstalledOnce(site, corrected, free)
    })
  })
})

interface Killing {
  readonly moment: KillMoment
  readonly plan: PlanInput
  /** Whether a node has the address at this moment. */
  readonly isHeld?: true
}

const killings: readonly Killing[] = [
  // While the address is chosen, and when the cluster is asked for with it.
  { moment: { event: { type: 'vip-chosen' } }, plan: smallNetwork('auto', withoutProof) },
  { moment: { event: { type: 'vip-chosen' }, how: 'torn' }, plan: smallNetwork('auto', withoutProof) },
  {
    moment: { event: { type: 'change-started', phase: 'deploy-cluster' } },
    plan: smallNetwork('auto', withoutProof),
  },
  // In the middle of the proof, while the first node has the address, and while the second one has it.
  {
    moment: { event: { type: 'progress', detail: `Reaching ${free} on n1` } },
    plan: smallNetwork('auto'),
    isHeld: true,
  },
  {
    moment: { event: { type: 'progress', detail: `Reaching ${free} on n2` } },
    plan: smallNetwork(free),
    isHeld: true,
  },
]

describe.concurrent('killed, a run goes on with the same address and leaves none behind', { timeout }, () => {
  for (const { moment, plan, isHeld } of killings) {
    test(nameOf(moment), () =>
      withSite({ ...crowded, plan }, async (site) => {
        const { signal, stderr } = await site.runUntilKilled(moment).ended
        expect(signal, stderr).toBe('SIGKILL')
        // Else nothing would have been left behind that the next process has to take away.
        if (isHeld) expect(await isRaised(site, free)).toBe(true)
        const { raised } = watchRequest(site, free)
        await expectDone(site.run('--resume'))
        await expectInstalledOnce(site, plan, free)
        expect((await Promise.all(raised)).filter(Boolean)).toEqual([])
        const chosen = chosenIn(await readEvents(site))
        expect(chosen).toEqual(plan.site.vip === 'auto' ? [free] : [])
        expect(existsSync(leaseFileOf(site, plan))).toBe(false)
      }),
    )
  }

  test('stopped by the operator in the middle of the proof, it takes the address away first', () => {
    const plan = smallNetwork(free)
    return withSite({ ...crowded, plan }, async (site) => {
      const run = site.run()
      run.onEvent = (event) => {
        if (event.type === 'progress' && event.detail.startsWith('Reaching')) run.kill('SIGINT')
      }
      const { exitCode, events } = await run.finished()
      expect(exitCode).toBe(4)
      expect(events.at(-1)).toMatchObject({ type: 'run-finished', outcome: 'stopped', errors: [] })
      expect(await isRaised(site, free)).toBe(false)
    })
  })
})

describe.concurrent('landfall check', { timeout }, () => {
  async function checked(site: TestSite, ...options: string[]): Promise<CheckResult[]> {
    const { stdout } = await site.landfall(
      ...['check', join(site.folder, 'plan.yaml'), '--lab-at', join(site.folder, 'lab.json'), '--json'],
      ...options,
    ).ended
    return checkReportSchema.parse(JSON.parse(stdout.join(''))).checks
  }

  test('looks at the address, and tries it out only when that is asked for by name', () => {
    const plan = smallNetwork('auto')
    return withSite({ ...crowded, plan }, async (site) => {
      const results = (await checked(site)).filter(
        ({ id, target }) => id.startsWith('vip.') && target !== 'plan',
      )
      expect(results.map(({ id, state, target }) => [id, state, target])).toEqual([
        ['vip.free', 'pass', free],
        ['vip.not-vrrp-mac', 'pass', free],
        ['vip.proxy-arp', 'pass', free],
        // Only a workstation on that network could ask for offers.
        ['vip.not-in-dhcp-pool', 'could-not-run', free],
        ['vip.subnet-room', 'warn', '10.10.200.0/28'],
      ])
      expect(await checked(site, '--only', 'vip.reachable')).toMatchObject([
        { id: 'vip.reachable', state: 'pass', target: free },
      ])
      expect(await isRaised(site, free)).toBe(false)
      await site.writePlan(smallNetwork('10.10.200.8'))
      const used = await checked(site, '--only', 'vip.free', 'vip.reachable')
      expect(used.map(({ id, state }) => [id, state])).toEqual([
        ['vip.free', 'fail'],
        ['vip.reachable', 'could-not-run'],
      ])
    })
  })
})
