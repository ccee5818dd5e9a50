import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, type TestContext } from 'vitest'
import { StoppedByOperator } from '../../main/engine/cancellation.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { parseAddressRange } from '../../main/network/discovery/address-range.ts'
import { findFreeAddresses } from '../../main/network/discovery/find-free-addresses.ts'
import { createNodeVantage } from '../../main/network/discovery/node-vantage.ts'
import type { AddressReport } from '../../shared/addresses/index.ts'
import { proveAddress, toFindings, type ProofReport } from '../../main/network/proof-of-life/index.ts'
import { whyNoNamespaces } from './namespace-lab.ts'
import type { ProgramRunner } from '../../main/network/programs/program-runner.ts'
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

/** What is held of the address from these machines right now. All that begin with `n` are known as nodes of the plan. */
async function look(lab: ProofLab, from: readonly string[]): Promise<AddressReport> {
  const nodes = lab.nodes.filter(({ name }) => name.startsWith('n'))
  const report = await findFreeAddresses({
    range: parseAddressRange(`${address}-${address}`),
    vantages: from.map((name) =>
      createNodeVantage({ name, runner: runnerFor(lab, name), clock: systemClock }),
    ),
    count: 1,
    ownMacs: new Map(nodes.map(({ name, mac }) => [mac, name])),
    clock: systemClock,
    signal: never,
  })
  const [judged] = [...report.candidates, ...report.used, ...report.doubtful]
  if (judged === undefined) throw new Error('the address was not judged')
  return judged
}

/** The workstation has no arping: its neighbour table is all that it can show, as without root. */
function runnerFor(lab: ProofLab, name: string): ProgramRunner {
  const { runner } = lab.node(name)
  const isWorkstation = name === 'ws'
  return {
    ...runner,
    run: (program, args, options) =>
      program === 'nmap' || (isWorkstation && [program, ...args].some((word) => word.includes('arping')))
        ? Promise.resolve({ kind: 'missing' })
        : runner.run(program, args, options),
  }
}

/** As after a packet that was answered: for up to 45 s nobody is asked anew. */
function replaceEntry(name: string, mac: string): [string, string, ...string[]] {
  const entry = ['to', address, 'lladdr', mac, 'dev', interfaceName, 'nud', 'reachable']
  return [name, 'ip', 'neigh', 'replace', ...entry]
}

const neighbourEntryOf = async (lab: ProofLab, name: string) =>
  (await lab.exec(name, 'ip', 'neigh', 'show', 'to', address)).trim()

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

    it('is not held for used right after its proof: the nodes have forgotten it, and a workstation that has not is no witness', async (context) => {
      const lab = await labOf(context, ['n1', 'n2', 'n3', 'ws'])
      // The way of the workstation, which nobody makes forget.
      const workstation = {
        reach: async (_address: string, _owner: unknown, signal: AbortSignal) => {
          const parameters = ['-n', '-c', '1', '-W', '1', address]
          const result = await lab.node('ws').runner.run('ping', parameters, { signal, deadlineSeconds: 5 })
          const isReached = result.kind === 'ended' && result.exitCode === 0
          return { arp: 'unknown', macs: [], ip: isReached ? 'reached' : 'silent', detail: 'ping' } as const
        },
      }
      expect((await prove(lab, { workstation })).report.outcome).toBe('works')
      for (const name of ['n1', 'n2', 'n3'])
        expect([name, await neighbourEntryOf(lab, name)]).toEqual([
          name,
          expect.not.stringMatching(/lladdr/) as string,
        ])
      await lab.exec(...replaceEntry('ws', lab.node('n2').mac))
      const judged = await look(lab, ['n1', 'ws'])
      expect(judged).toMatchObject({ verdict: 'free', macs: [] })
      expect(judged.reason).toContain(
        `n2 (${lab.node('n2').mac}) had it a short time ago (neighbour-table on ws`,
      )
      const seenFromWorkstation = judged.evidence.filter(({ vantage }) => vantage === 'ws')
      expect(seenFromWorkstation).toMatchObject([
        { method: 'neighbour-table', answer: 'answered', probes: 0, macs: [lab.node('n2').mac] },
      ])
      // Nobody who can ask past the table: then it stays careful.
      expect(await look(lab, ['ws'])).toMatchObject({ verdict: 'used' })
      // The node has it after all.
      await lab.exec('n2', 'ip', 'address', 'add', `${address}/32`, 'dev', interfaceName)
      await lab.exec(...replaceEntry('ws', lab.node('n2').mac))
      expect(await look(lab, ['n1', 'ws'])).toMatchObject({ verdict: 'used', macs: [lab.node('n2').mac] })
    })

    it('is not held for used where the nodes could not be made to forget it', async (context) => {
      const lab = await labOf(context, ['n1', 'n2', 'n3'])
      const nodes = lab.nodes.map((node) => ({
        ...node,
        runner: {
          ...node.runner,
          run: (...[program, args, options]: Parameters<ProgramRunner['run']>) =>
            args[1] === 'flush'
              ? Promise.resolve({ kind: 'not-permitted' as const, reason: 'sudo asks for a password' })
              : node.runner.run(program, args, options),
        },
      }))
      expect((await prove(lab, { nodes })).report).toMatchObject({ outcome: 'works', warnings: [] })
      expect(await neighbourEntryOf(lab, 'n1')).toContain(lab.node('n2').mac)
      await lab.exec(...replaceEntry('n1', lab.node('n2').mac))
      const judged = await look(lab, ['n1'])
      expect(judged.verdict).toBe('free')
      expect(judged.reason).toContain('had it a short time ago (neighbour-table on n1')
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
      for (const { name } of lab.nodes) expect(await neighbourEntryOf(lab, name)).not.toContain('lladdr')
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
