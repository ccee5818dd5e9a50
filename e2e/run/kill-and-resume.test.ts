import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { base64OfPem } from '../../main/appliance/pem.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import {
  expectDone,
  expectInstalledOnce,
  leaseFileOf,
  readEvents,
  withSite,
  type TestSite,
} from './harness.ts'
import { nameOf, type KillMoment } from './kill-moment.ts'

type EventMoment = Extract<KillMoment, { event: unknown }>

/** Milliseconds; most of it is waiting for a place, see withSite. */
const timeout = 400_000

const nodes = ['n1', 'n2', 'n3']
const followers = ['n2', 'n3']

/** The lines before and after every act that is not simply repeated. */
const actMoments: readonly EventMoment[] = [
  ...nodes.flatMap((node) => changed('change-passwords', node, 'change-password')),
  ...followers.flatMap((node) => changed('link-hosts', node, 'link')),
  ...changed('deploy-cluster', undefined, 'create-cluster'),
  ...changed('first-login', undefined, 'first-password'),
  ...changed('upload-packs', undefined, 'upload pack.tar.zst'),
]

/** The lines before and after every password that is tried, and every setting of a host. */
const furtherMoments: readonly EventMoment[] = [
  ...nodes.flatMap((node) => [
    ...tried('connect-nodes', node, 'initial'),
    ...tried('change-passwords', node, 'new'),
    ...changed('configure-hosts', node, 'host-name'),
    ...changed('configure-hosts', node, 'file /etc/systemd/timesyncd.conf.d/50-landfall.conf'),
  ]),
  ...tried('first-login', undefined, 'initial'),
  ...tried('first-login', undefined, 'new'),
]

function changed(phase: string, node: string | undefined, key: string): EventMoment[] {
  const place = { phase, ...(node === undefined ? {} : { node }), key }
  return [{ event: { type: 'change-started', ...place } }, { event: { type: 'change-finished', ...place } }]
}

function tried(phase: string, node: string | undefined, credential: string): EventMoment[] {
  const place = { phase, ...(node === undefined ? {} : { node }), credential }
  return ['trying', 'accepted'].map((outcome) => ({ event: { type: 'credential-tried', ...place, outcome } }))
}

/** Lines of all other kinds, spread over the run, which has about 160. */
const otherMoments: readonly KillMoment[] = [
  ...[2, 20, 45, 105].map((line) => ({ line })),
  // Written before anything is altered, and once more before the cluster is asked for.
  { event: { type: 'phase-started', phase: 'measure-nodes' } },
  { event: { type: 'phase-finished', phase: 'check-again' } },
  { event: { type: 'identity-pinned', kind: 'ssh' } },
  { event: { type: 'identity-pinned', phase: 'first-login' } },
  { event: { type: 'progress', phase: 'watch-deployment' } },
  { event: { type: 'phase-finished', phase: 'watch-deployment' } },
  { event: { type: 'phase-finished', phase: 'upload-packs' } },
]

/** The process dies while the line is being written. */
const tornMoments: readonly KillMoment[] = [
  { line: 1, how: 'torn' },
  { line: 1, how: 'written' },
  ...[
    { type: 'change-started', phase: 'change-passwords', node: 'n2' },
    { type: 'change-finished', phase: 'link-hosts', node: 'n3' },
    { type: 'change-finished', phase: 'deploy-cluster' },
    { type: 'change-finished', phase: 'upload-packs' },
  ].map((event, index): KillMoment => ({ event, how: index % 2 === 0 ? 'torn' : 'written' })),
]

/** Requests whose effect is there, while the process that sent them never heard the answer. */
const requests = [
  '/v1/users/default/login',
  '/v1/users/default/password/reset',
  '/v1/edge-mgmt/edgehosts/current/link',
  '/v1/edge-mgmt/cluster',
  '/v1/system/admin/password/reset',
  '/v1/edge-mgmt/edgehosts/current/actions/upload-content',
]

/** Pairs of moments that nobody chose: linear congruential generator of Numerical Recipes, fixed seed. */
function randomPairs(count: number): (readonly [number, number])[] {
  let state = 20_260_725
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return 1 + Math.floor((state / 2 ** 32) * below)
  }
  return Array.from({ length: count }, () => [next(140), next(90)] as const)
}

const stopMoments: readonly Partial<Record<string, string>>[] = [
  { type: 'phase-started', phase: 'wait-for-install' },
  { type: 'change-started', phase: 'change-passwords' },
  { type: 'change-started', phase: 'link-hosts' },
  { type: 'change-started', phase: 'deploy-cluster' },
  { type: 'progress', phase: 'watch-deployment' },
  { type: 'change-started', phase: 'upload-packs' },
]

async function killAt(site: TestSite, moment: KillMoment, ...options: string[]): Promise<void> {
  const { signal, exitCode, stderr } = await site.runUntilKilled(moment, ...options).ended
  expect({ signal, exitCode }, stderr).toEqual({ signal: 'SIGKILL', exitCode: null })
  // Nobody gave it back.
  expect(existsSync(leaseFileOf(site))).toBe(true)
}

async function expectResumes(site: TestSite): Promise<readonly RunEvent[]> {
  await expectDone(site.run('--resume'))
  await expectInstalledOnce(site)
  expect(site.lab.report()).toMatchObject({ passwordChanges: 4, linksCompleted: 2 })
  expect(await site.journals()).toHaveLength(1)
  await expectOwnRegistryAuthority(site)
  return readEvents(site)
}

/** Every process makes a certificate for the registry: the authority in the run folder is the one of the cluster. */
async function expectOwnRegistryAuthority(site: TestSite): Promise<void> {
  const posted = site.exchanges.find(
    ({ method, path }) => method === 'POST' && path === '/v1/edge-mgmt/cluster',
  )
  const [journal] = await site.journals()
  const authority = await readFile(join(dirname(journal ?? ''), 'registry-ca.pem'))
  expect(JSON.stringify(posted?.requestBody)).toContain(base64OfPem(authority.toString()))
}

test('an undisturbed run does exactly the acts that are interrupted below', { timeout: 60_000 }, () =>
  withSite({}, async (site) => {
    const events = await expectDone(site.run())
    await expectInstalledOnce(site)
    const acts = events.filter(({ type }) => /^(change-|credential-)/.test(type))
    const moments = [...actMoments, ...furtherMoments]
    expect(acts).toHaveLength(moments.length)
    for (const { event } of moments) expect(acts).toContainEqual(expect.objectContaining(event))
    const [journal] = await site.journals()
    const verified = await site.landfall('journal', 'verify', journal ?? '', '--json').ended
    expect(verified.exitCode).toBe(0)
    expect(JSON.parse(verified.stdout.join(''))).toMatchObject({ kind: 'intact', events: events.length })
  }),
)

describe.concurrent('killed right after a line became durable, a run goes on', { timeout }, () => {
  for (const moment of [...[...actMoments, ...furtherMoments].filter(isChosen), ...otherMoments]) {
    test(nameOf(moment), () =>
      withSite({}, async (site) => {
        await killAt(site, moment)
        await expectResumes(site)
      }),
    )
  }
})

/** Every kind of them on one node, and all of the site's and the console's: the nodes are alike. */
function isChosen({ event }: EventMoment): boolean {
  return event['node'] === undefined || event['node'] === 'n2'
}

describe.concurrent('killed while a line was being written, a run goes on', { timeout }, () => {
  for (const moment of tornMoments) {
    test(nameOf(moment), () =>
      withSite({}, async (site) => {
        await killAt(site, moment)
        await expectResumes(site)
      }),
    )
  }
})

describe.concurrent('killed between a request and its answer, a run goes on', { timeout }, () => {
  for (const path of requests) {
    test(path, () =>
      withSite({}, async (site) => {
        const run = site.run()
        site.onExchange = (exchange) => {
          if (exchange.path === path && exchange.method !== 'GET' && exchange.status < 300)
            run.kill('SIGKILL')
        }
        expect((await run.ended).signal).toBe('SIGKILL')
        site.onExchange = () => undefined
        await expectResumes(site)
      }),
    )
  }
})

describe.concurrent('killed twice, a run goes on', { timeout }, () => {
  for (const [first, second] of randomPairs(4)) {
    test(`line ${String(first)}, then line ${String(second)} of the next process`, () =>
      withSite({}, async (site) => {
        await killAt(site, { line: first })
        await killAt(site, { line: second }, '--resume')
        const events = await expectResumes(site)
        expect(events.filter((event) => event.type === 'run-resumed')).toHaveLength(2)
      }))
  }
})

describe.concurrent('stopped by the operator, a run ends in good order and goes on', { timeout }, () => {
  const stops = [
    ...stopMoments.map((moment) => ({ signal: 'SIGINT' as const, moment })),
    ...stopMoments.slice(3, 4).map((moment) => ({ signal: 'SIGTERM' as const, moment })),
  ]
  for (const { signal, moment } of stops) {
    test(`${signal} at ${Object.values(moment).join(' ')}`, () =>
      withSite({}, async (site) => {
        const run = site.run()
        run.onEvent = (event) => {
          if (!isFitting(event, moment)) return
          run.onEvent = () => undefined
          run.kill(signal)
        }
        const { exitCode, events } = await run.finished()
        expect(exitCode).toBe(4)
        expect(events.at(-1)).toMatchObject({ type: 'run-finished', outcome: 'stopped', errors: [] })
        expect(existsSync(leaseFileOf(site))).toBe(false)
        await expectResumes(site)
      }))
  }
})

function isFitting(event: RunEvent, moment: Partial<Record<string, string>>): boolean {
  return Object.entries(moment).every(([key, value]) => Reflect.get(event, key) === value)
}
