import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { RunEvent } from '../../shared/events/index.ts'
import { expectDone, expectInstalledOnce, leaseFileOf, readEvents, withSite, type TestSite } from './harness.ts'
import { nameOf, type KillMoment } from './kill-moment.ts'

const nodes = ['n1', 'n2', 'n3']
const followers = ['n2', 'n3']

/** Every line before and after an act that must not happen twice, and every password that is tried. */
const actMoments: readonly KillMoment[] = [
  ...nodes.flatMap((node) => [
    ...tried('connect-nodes', node, 'initial'),
    ...changed('change-passwords', node, 'change-password'),
    ...tried('change-passwords', node, 'new'),
    ...changed('configure-hosts', node, 'host-name'),
  ]),
  ...followers.flatMap((node) => changed('link-hosts', node, 'link')),
  ...changed('deploy-cluster', undefined, 'create-cluster'),
  ...tried('first-login', undefined, 'initial'),
  ...changed('first-login', undefined, 'first-password'),
  ...tried('first-login', undefined, 'new'),
  ...changed('upload-packs', undefined, 'upload pack.tar.zst'),
]

function changed(phase: string, node: string | undefined, key: string): KillMoment[] {
  const place = { phase, ...(node === undefined ? {} : { node }), key }
  return [{ event: { type: 'change-started', ...place } }, { event: { type: 'change-finished', ...place } }]
}

function tried(phase: string, node: string | undefined, credential: string): KillMoment[] {
  const place = { phase, ...(node === undefined ? {} : { node }), credential }
  return ['trying', 'accepted'].map((outcome) => ({ event: { type: 'credential-tried', ...place, outcome } }))
}

/** Lines of all other kinds, spread over the run; the last one of a run is about the 160th. */
const otherMoments: readonly KillMoment[] = [
  ...[1, 2, 3, 5, 8, 12, 20, 45, 70, 105, 130].map((line) => ({ line })),
  { event: { type: 'identity-pinned', kind: 'ssh' } },
  { event: { type: 'identity-pinned', phase: 'first-login' } },
  { event: { type: 'progress', phase: 'watch-deployment' } },
  { event: { type: 'phase-finished', phase: 'watch-deployment' } },
  { event: { type: 'evidence', phase: 'validate' } },
  { event: { type: 'phase-finished', phase: 'upload-packs' } },
]

/** The process dies while the line is being written. */
const tornMoments: readonly KillMoment[] = (['written', 'torn'] as const).flatMap((how) => [
  { line: 1, how },
  { line: 50, how },
  ...[
    { type: 'change-started', phase: 'change-passwords', node: 'n2' },
    { type: 'change-finished', phase: 'link-hosts', node: 'n3' },
    { type: 'change-started', phase: 'deploy-cluster' },
    { type: 'change-finished', phase: 'deploy-cluster' },
    { type: 'change-finished', phase: 'first-login' },
    { type: 'change-finished', phase: 'upload-packs' },
  ].map((event) => ({ event, how })),
])


async function killAt(site: TestSite, moment: KillMoment, ...options: string[]): Promise<void> {
  const { signal, exitCode, stderr } = await site.runUntilKilled(moment, ...options).ended
  expect({ signal, exitCode }, stderr).toEqual({ signal: 'SIGKILL', exitCode: null })
  // Nobody gave it back.
  expect(existsSync(leaseFileOf(site))).toBe(true)
}

async function expectResumes(site: TestSite): Promise<readonly RunEvent[]> {
  await expectDone(site.run('--resume'))
  await expectInstalledOnce(site)
  expect(site.lab.report()).toMatchObject({ uploads: 1, passwordChanges: 4, linksCompleted: 2 })
  expect(await site.journals()).toHaveLength(1)
  return readEvents(site)
}

test('an undisturbed run does exactly the acts that are interrupted below', { timeout: 60_000 }, () =>
  withSite({}, async (site) => {
    const events = await expectDone(site.run())
    await expectInstalledOnce(site)
    const acts = events.flatMap((event) =>
      event.type === 'change-started' || event.type === 'change-finished' || event.type === 'credential-tried'
        ? [event]
        : [],
    )
    expect(acts).toHaveLength(actMoments.length)
    for (const moment of actMoments) {
      expect(acts).toContainEqual(expect.objectContaining('event' in moment ? moment.event : {}))
    }
    const [journal] = await site.journals()
    const verified = await site.landfall('journal', 'verify', journal ?? '', '--json').ended
    expect(verified.exitCode).toBe(0)
    expect(JSON.parse(verified.stdout.join(''))).toMatchObject({ kind: 'intact', events: events.length })
  }),
)

describe.concurrent('killed right after a line of the journal became durable', { timeout: 120_000 }, () => {
  for (const moment of [...actMoments, ...otherMoments]) {
    test(nameOf(moment), () =>
      withSite({}, async (site) => {
        await killAt(site, moment)
        const events = await expectResumes(site)
        expect(events.filter((event) => event.type === 'run-resumed')).toHaveLength(1)
      }),
    )
  }
})
