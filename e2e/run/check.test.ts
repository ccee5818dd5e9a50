import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkReportSchema, type CheckReport } from '../../shared/checks/index.ts'
import { threeNodes, withSite, type TestSite } from './harness.ts'

const timeout = 120_000

interface Checked {
  readonly exitCode: number | null
  readonly stderr: string
  /** `undefined`: none was printed. */
  readonly report: CheckReport | undefined
}

function start(site: TestSite, options: readonly string[]) {
  return site.landfall(
    ...['check', join(site.folder, 'plan.yaml'), '--lab-at', join(site.folder, 'lab.json'), '--json'],
    ...options,
  )
}

async function check(site: TestSite, ...options: string[]): Promise<Checked> {
  const { exitCode, stdout, stderr } = await start(site, options).ended
  const text = stdout.join('\n')
  return { exitCode, stderr, report: text === '' ? undefined : checkReportSchema.parse(JSON.parse(text)) }
}

/** Checks that did not pass: `id target state`. */
function open({ report }: Checked): string[] {
  const results = report?.checks.filter(({ state }) => state !== 'pass' && state !== 'skipped') ?? []
  return results.map(({ id, target, state }) => `${id} ${target} ${state}`).toSorted()
}

const isAlteration = (method: string, path: string) => method !== 'GET' && !/\/(login|validate)$/.test(path)

describe.concurrent('landfall check', { timeout }, () => {
  test('asks every question about a healthy site, and alters nothing', () =>
    withSite({}, async (site) => {
      const healthy = await check(site)
      expect(healthy.stderr).toBe('')
      expect(healthy.exitCode).toBe(0)
      // Nobody on a lab can ask for DHCP offers.
      expect(open(healthy)).toEqual(['vip.not-in-dhcp-pool 10.10.200.100 could-not-run'])
      const { checks = [], summary } = healthy.report ?? {}
      expect(summary).toMatchObject({ total: checks.length, blocking: 0, pending: 0, running: 0 })
      for (const id of ['ws.disk-free', 'cidr.no-overlap', 'bundle.zst-valid'] as const)
        expect(checks.filter((result) => result.id === id)).toHaveLength(1)
      for (const id of ['node.connected', 'node.disk2-data', 'clock.skew', 'net.ports-operator'] as const)
        expect(checks.filter((result) => result.id === id).map(({ target }) => target)).toEqual([
          'n1',
          'n2',
          'n3',
        ])
      expect(checks.find(({ id }) => id === 'node.cpu')).toMatchObject({
        state: 'pass',
        severity: 'block',
        measured: '8',
        fixStep: null,
        ageLimitSeconds: 1800,
      })
      expect(site.exchanges.filter(({ method, path }) => isAlteration(method, path))).toEqual([])
    }))

  test('ends with 3 when one blocks, and says of which node and why', () =>
    withSite(
      {
        scenario: {
          machines: {
            n2: { cpus: 4 },
            n3: { storageDrive: { signatures: ['LVM2_member'] }, nic: { speedMegabits: 100 } },
          },
          network: { links: [{ from: 'n1', to: 'n2', mtu: 1400 }] },
        },
      },
      async (site) => {
        const result = await check(site)
        expect(result.exitCode).toBe(3)
        expect(open(result)).toEqual([
          'net.mtu-path n1 → n2 fail',
          'net.mtu-path n2 → n1 fail',
          'node.cpu n2 fail',
          'node.disk2-data n3 fail',
          'node.homogeneous all nodes warn',
          'node.nic-speed n3 warn',
          'vip.not-in-dhcp-pool 10.10.200.100 could-not-run',
        ])
        const frame = result.report?.checks.find(({ target }) => target === 'n1 → n2')
        expect(frame?.remedy).not.toBe('')
      },
    ))

  test('runs only what is named, and refuses what it does not know', () =>
    withSite({}, async (site) => {
      const some = await check(site, '--only', 'net.mtu-path', 'pool.cp-odd')
      expect(new Set(some.report?.checks.map(({ id }) => id))).toEqual(
        new Set(['pool.cp-odd', 'net.mtu-path']),
      )
      expect(some.report?.checks).toHaveLength(7)
      const unknown = await check(site, '--only', 'net.unknown')
      expect(unknown).toMatchObject({ exitCode: 2, report: undefined })
      expect(unknown.stderr).toContain('There is no check net.unknown.')
    }))

  test('knows nothing of a node that is silent, and all about the others', () =>
    withSite({ faults: [{ kind: 'unreachable', node: 'n2', at: 0 }] }, async (site) => {
      const result = await check(site, '--only', 'node.connected', 'node.memory', 'net.ports-operator')
      expect(result.exitCode).toBe(3)
      expect(open(result)).toEqual([
        'net.ports-operator n2 fail',
        'node.connected n2 fail',
        'node.memory n2 could-not-run',
      ])
      expect(result.report?.checks).toHaveLength(9)
    }))

  test('writes to a disk only when that is named', () =>
    withSite({ scenario: { network: { diskMilliseconds: 25 } } }, async (site) => {
      const asked = await check(site, '--only', 'node.disk-speed')
      expect(asked.exitCode).toBe(0)
      expect(open(asked)).toEqual(['n1', 'n2', 'n3'].map((node) => `node.disk-speed ${node} warn`))
    }))

  test('ends in good order when it is stopped', () =>
    withSite({}, async (site) => {
      const run = start(site, [])
      site.onExchange = () => {
        run.kill('SIGINT')
      }
      expect((await run.ended).exitCode).toBe(4)
    }))
})

describe.concurrent('a warning', { timeout }, () => {
  const slow = { scenario: { machines: { n3: { cpus: 4, nic: { speedMegabits: 100, receiveErrors: 3 } } } } }

  test('is accepted with who, when and why, and stays so', () =>
    withSite(slow, async (site) => {
      const accepted = await check(
        site,
        ...['--only', 'node.nic-speed', '--acknowledge', 'node.nic-speed@n3', '--why', 'replaced in May'],
      )
      expect(accepted.exitCode).toBe(0)
      const later = await check(site, '--only', 'node.nic-speed', 'node.nic-errors')
      expect(open(later)).toEqual(['node.nic-errors n3 warn', 'node.nic-speed n3 acknowledged'])
      const result = later.report?.checks.find(({ state }) => state === 'acknowledged')
      expect(result?.acknowledgement).toMatchObject({
        why: 'replaced in May',
        by: expect.stringContaining('@') as string,
      })
    }))

  test('is not what blocks, what passes or what is not there', () =>
    withSite(slow, async (site) => {
      for (const text of ['node.cpu', 'node.memory', 'node.nic-speed@n9']) {
        const [id = ''] = text.split('@')
        const refused = await check(site, '--only', id, '--acknowledge', text, '--why', 'because')
        expect(refused).toMatchObject({ exitCode: 2, report: undefined })
        expect(refused.stderr).toContain('is no warning that can be accepted. Nothing was changed.')
      }
      const later = await check(site, '--only', 'node.cpu', 'node.nic-speed')
      expect(open(later)).toEqual(['node.cpu n3 fail', 'node.nic-speed n3 warn'])
    }))

  test('is not accepted without a reason', () =>
    withSite(slow, async (site) => {
      const refused = await check(site, '--acknowledge', 'node.nic-speed')
      expect(refused).toMatchObject({ exitCode: 2, report: undefined })
      expect(refused.stderr).toContain('--why')
    }))
})

test(
  'a run accepts what was accepted, tells the other warnings, and stops before it alters anything when one blocks',
  { timeout },
  () =>
    withSite(
      {
        scenario: {
          machines: { n3: { nic: { speedMegabits: 100, receiveErrors: 3 } } },
          network: { links: [{ from: 'n1', to: 'n2', mtu: 1400 }] },
        },
      },
      async (site) => {
        await check(
          site,
          '--only',
          'node.nic-speed',
          '--acknowledge',
          'node.nic-speed',
          '--why',
          'replaced in May',
        )
        await site.writePlan(threeNodes())
        const { exitCode, events } = await site.run().finished()
        expect(exitCode).toBe(3)
        const texts = events.flatMap((event) => (event.type === 'warning' ? [event.text] : []))
        expect(texts.filter((text) => text.includes('counts no errors'))).toHaveLength(1)
        expect(texts.filter((text) => text.includes('fast enough'))).toEqual([])
        expect(
          events.some((event) => event.type === 'evidence' && event.seen.includes('replaced in May')),
        ).toBe(true)
        expect(events.at(-1)).toMatchObject({
          outcome: 'failed',
          errors: [expect.objectContaining({ code: 'CHECK_BLOCKS', phase: 'measure-nodes' })],
        })
        expect(site.exchanges.filter(({ method, path }) => isAlteration(method, path))).toEqual([])
      },
    ),
)
