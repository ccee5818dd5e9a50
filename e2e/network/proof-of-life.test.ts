import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, type TestContext } from 'vitest'
import { StoppedByOperator } from '../../main/engine/cancellation.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { proveAddress, toFindings, type ProofReport } from '../../main/network/proof-of-life/index.ts'
import { whyNoNamespaces } from './namespace-lab.ts'
import { createProofLab, interfaceName, type ProofLab } from './proof-lab.ts'
import type { NodeInNamespace } from './prove-until-killed.ts'

const address = '10.10.200.100'
const never = new AbortController().signal

type Options = Partial<Parameters<typeof proveAddress>[0]>

/** The context says whose laboratory it is: tests run side by side. */
async function labOf(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  ...parameters: Parameters<typeof createProofLab>
): Promise<ProofLab> {
  const lab = await createProofLab(...parameters)
  onTestFinished(() => lab.remove())
  return lab
}

/** The nodes are those whose names begin with `n`. */
async function prove(
  lab: ProofLab,
  options: Options = {},
): Promise<{ report: ProofReport; changes: string[] }> {
  const changes: string[] = []
  const report = await proveAddress({
    address,
    nodes: lab.nodes.filter(({ name }) => name.startsWith('n')),
    clock: systemClock,
    signal: never,
    change: (node, key, _what, act) => {
      changes.push(`${node} ${key}`)
      return act(options.signal ?? never)
    },
    ...options,
  })
  return { report, changes }
}

async function expectGone(lab: ProofLab): Promise<void> {
  for (const { name } of lab.nodes)
    expect([name, await lab.lifetimeOf(name, address)]).toEqual([name, undefined])
}

/** Looks again and again; the deadline is that of the test. */
async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(50)
}

const reason = whyNoNamespaces()

// They mostly wait: side by side they take as long as the longest.
describe
  .skipIf(reason !== undefined)
  .concurrent('an address between machines on a bridge', { timeout: 60_000 }, () => {
    it('works, with a hand-over that is timed', async (context) => {
      const lab = await labOf(context, ['n1', 'n2', 'n3', 'ws'])
      const workstation = lab.node('ws')
      const { report, changes } = await prove(lab, {
        workstation: {
          reach: async (_address, _owner, signal) => {
            const parameters = ['-n', '-c', '1', '-W', '1', address]
            const result = await workstation.runner.run('ping', parameters, { signal, deadlineSeconds: 5 })
            const isReached = result.kind === 'ended' && result.exitCode === 0
            return { arp: 'unknown', macs: [], ip: isReached ? 'reached' : 'silent', detail: 'ping' }
          },
        },
      })
      expect(report).toMatchObject({
        outcome: 'works',
        removed: 'confirmed',
        warnings: [],
        missedHandOver: [],
      })
      expect(report.legs.map(({ from, to, arp, ip }) => [from, to, arp, ip].join(' ')).toSorted()).toEqual([
        'n1 n2 owner reached',
        'n2 n1 owner reached',
        'n3 n1 owner reached',
        'n3 n2 owner reached',
        'workstation n1 unknown reached',
        'workstation n2 unknown reached',
      ])
      for (const leg of report.legs.filter(({ vantage }) => vantage === 'node'))
        expect(leg.macs).toEqual([lab.node(leg.to).mac])
      expect(report.handOverMilliseconds).toBeGreaterThan(0)
      expect(report.handOverMilliseconds).toBeLessThan(3_000)
      expect(changes).toEqual(['n1 hold-address', 'n2 hold-address'])
      expect(toFindings(report)).toMatchObject([{ state: 'pass' }])
      await expectGone(lab)
    })

    it('works with the programs of BusyBox, after a run that was killed', async (context) => {
      const lab = await labOf(context, ['n1', 'n2'], 'busybox')
      const label = ['label', `${interfaceName}:lf`]
      const lifetime = ['valid_lft', '30', 'preferred_lft', '0']
      const leftover = [`${address}/32`, 'dev', interfaceName, ...lifetime, ...label]
      await lab.exec('n2', 'busybox', 'ip', 'address', 'add', ...leftover)
      const { report, changes } = await prove(lab)
      expect(report).toMatchObject({ outcome: 'works', removed: 'confirmed' })
      expect(report.warnings).toEqual([expect.stringContaining('n2 still had 10.10.200.100')])
      expect(report.legs[0]?.detail).toContain('BusyBox')
      expect(changes).toEqual(['n2 remove-leftover', 'n1 hold-address', 'n2 hold-address'])
      await expectGone(lab)
    })

    it('is unreachable when one machine drops the ARP requests of another, and the leg is named', async (context) => {
      const lab = await labOf(context, ['n1', 'n2', 'n3'])
      await lab.exec('n1', 'nft', 'add table arp filter')
      await lab.exec('n1', 'nft', 'add chain arp filter input { type filter hook input priority 0; }')
      await lab.exec('n1', 'nft', 'add rule arp filter input arp saddr ip 10.10.200.13 drop')
      const { report } = await prove(lab)
      expect(report).toMatchObject({ outcome: 'unreachable', removed: 'confirmed' })
      expect(report.legs.filter(({ arp, ip }) => arp !== 'owner' || ip !== 'reached')).toMatchObject([
        { from: 'n3', to: 'n1', arp: 'silent', macs: [], ip: 'silent' },
      ])
      expect(report.reason).toContain('n3 did not reach it at n1')
      expect(toFindings(report)[0]).toMatchObject({ target: 'n3 → n1', severity: 'block', state: 'fail' })
      await expectGone(lab)
    })

    it('is unreachable when ARP is answered but the kernel of one machine does not hear it', async (context) => {
      const lab = await labOf(context, ['n1', 'n2', 'n3'])
      await lab.exec('n3', 'nft', 'add table arp filter')
      await lab.exec('n3', 'nft', 'add chain arp filter input { type filter hook input priority 0; }')
      await lab.exec('n3', 'nft', `add rule arp filter input arp saddr ip ${address} drop`)
      const { report } = await prove(lab)
      expect(report.outcome).toBe('unreachable')
      expect(report.legs.filter(({ ip }) => ip !== 'reached')).toMatchObject([
        { from: 'n3', to: 'n1', arp: 'owner', ip: 'silent' },
        { from: 'n3', to: 'n2', arp: 'owner', ip: 'silent' },
      ])
      await expectGone(lab)
    })

    it('is a conflict when a stranger has it, and nothing is raised', async (context) => {
      const lab = await labOf(context, ['n1', 'n2', 'stranger'])
      await lab.exec('stranger', 'ip', 'address', 'add', `${address}/24`, 'dev', interfaceName)
      const { report, changes } = await prove(lab)
      expect(report).toMatchObject({ outcome: 'conflict', legs: [], removed: 'confirmed' })
      expect(report.reason).toContain(lab.node('stranger').mac)
      expect(changes).toEqual([])
      expect(await lab.lifetimeOf('stranger', address)).toBe(Infinity)
    })

    it('is a conflict when a stranger takes it while a node holds it, and the stranger keeps it', async (context) => {
      const lab = await labOf(context, ['n1', 'n2', 'stranger'])
      const taking = until(async () => (await lab.lifetimeOf('n1', address)) !== undefined).then(() =>
        lab.exec('stranger', 'ip', 'address', 'add', `${address}/24`, 'dev', interfaceName),
      )
      const { report, changes } = await prove(lab)
      await taking
      expect(report).toMatchObject({ outcome: 'conflict', removed: 'confirmed' })
      expect(report.reason).toContain(lab.node('stranger').mac)
      expect(changes).toEqual(['n1 hold-address'])
      expect(await lab.lifetimeOf('n1', address)).toBeUndefined()
      expect(await lab.lifetimeOf('stranger', address)).toBe(Infinity)
    })

    it('is gone at once when the operator stops, and nothing runs on', async (context) => {
      const lab = await labOf(context, ['n1', 'n2'])
      const stop = new AbortController()
      const proving = prove(lab, { signal: stop.signal })
      const reason = new StoppedByOperator()
      const stopping = until(async () => (await lab.lifetimeOf('n1', address)) !== undefined).then(() => {
        stop.abort(reason)
        return performance.now()
      })
      await expect(proving).rejects.toBe(reason)
      expect(performance.now() - (await stopping)).toBeLessThan(3_000)
      await expectGone(lab)
      for (const { name } of lab.nodes) expect(await lab.processesOn(name)).toEqual([])
    })

    it.for(['n1', 'n2'])(
      'goes by itself when Landfall is killed while %s holds it',
      async (holder, context) => {
        const lab = await labOf(context, ['n1', 'n2'])
        const lifetimeSeconds = 4
        const nodes = lab.nodes.map(({ name, interface: device, mac, address: own }): NodeInNamespace => ({
          ...{ name, interface: device, mac, address: own },
          namespace: lab.namespaceOf(name),
        }))
        const script = fileURLToPath(new URL('prove-until-killed.ts', import.meta.url))
        const child = spawn(
          process.execPath,
          [script, address, String(lifetimeSeconds), JSON.stringify(nodes)],
          {
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        )
        context.onTestFinished(() => void child.kill('SIGKILL'))
        const exit = once(child, 'exit')
        await until(async () => (await lab.lifetimeOf(holder, address)) !== undefined)
        child.kill('SIGKILL')
        const killedAt = performance.now()
        expect(await exit).toEqual([null, 'SIGKILL'])
        const left = await lab.lifetimeOf(holder, address)
        expect(left).toBeDefined()
        expect(left).toBeLessThanOrEqual(lifetimeSeconds)
        await until(async () => (await lab.lifetimeOf(holder, address)) === undefined)
        expect(performance.now() - killedAt).toBeLessThan((lifetimeSeconds + 3) * 1000)
        await expectGone(lab)
      },
    )
  })
