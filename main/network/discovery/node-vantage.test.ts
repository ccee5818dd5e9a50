import { afterEach, describe, expect, it } from 'vitest'
import type { Observation } from '../../../shared/addresses/index.ts'
import { readScenario } from '../../lab/index.ts'
import { runnerOf, timed } from '../../lab/testing/node-runner.ts'
import { startReadyLab, type TestLab } from '../../lab/testing/site.ts'
import type { ProgramRunner } from '../programs/program-runner.ts'
import { createNodeVantage } from './node-vantage.ts'

const labs: TestLab[] = []
afterEach(async () => {
  for (const { lab } of labs.splice(0)) await lab.stop()
})

const extraHosts = `
extraHosts:
  - { address: 10.10.200.70, mac: '52:54:00:00:00:70' }
  - { address: 10.10.200.71, mac: '52:54:00:00:00:71', kind: drops }
  - { address: 10.10.200.72, mac: '52:54:00:00:00:72' }
  - { address: 10.10.200.72, mac: '52:54:00:00:01:72' }
`

async function nodeOf(scenario: string, change: (runner: ProgramRunner) => ProgramRunner = (same) => same) {
  const test = await startReadyLab({ scenario: readScenario(`name: test\n${scenario}`, 'test.yaml') })
  labs.push(test)
  const commands: string[] = []
  const runner = await runnerOf(test, 'n1')
  const counting: ProgramRunner = {
    ...runner,
    run: (program, args, options) => {
      commands.push([program, ...args.filter((arg) => !arg.includes('\n'))].join(' '))
      return runner.run(program, args, options)
    },
  }
  const vantage = createNodeVantage({ name: 'n1', runner: change(counting), clock: test.lab.clock })
  return { test, vantage, commands }
}

const ask = () => ({ interface: 'ens160', signal: new AbortController().signal })
const addressesOf = (lasts: readonly number[]) => lasts.map((last) => `10.10.200.${last}`)

function shortly(observations: readonly Observation[] = []): Record<string, string> {
  return Object.fromEntries(
    observations.map(({ address, method, answer, macs }) => [
      address.replace('10.10.200.', '.'),
      `${method} ${answer}${macs.map((mac) => ` ${mac.slice(-5)}`).join('')}`,
    ]),
  )
}

describe('a node as a vantage', () => {
  it('sweeps: whoever answers ARP is seen, also one that drops everything, and nobody else', async () => {
    const { test, vantage } = await nodeOf(extraHosts)
    const seen: Observation[] = []
    const [answers] = await timed(
      test,
      // .102 is its own: nobody would answer for it.
      vantage.sweep(addressesOf([70, 71, 77, 78, 102]), {
        ...ask(),
        onObservation: (observation) => seen.push(observation),
      }),
    )
    expect(shortly(answers.observations)).toEqual({
      '.70': 'neighbour-table answered 00:70',
      '.71': 'neighbour-table answered 00:71',
      '.77': 'neighbour-table silent',
      '.78': 'neighbour-table silent',
    })
    expect(seen).toEqual(answers.observations)
    expect(answers.observations.every((one) => one.vantage === 'n1' && one.layer === 'link')).toBe(true)
    expect(answers.warnings).toEqual([])
  })

  it('probes with arping as root, many addresses with one command', async () => {
    const { test, vantage, commands } = await nodeOf(extraHosts)
    const addresses = addressesOf([70, 71, 72, 102, ...Array.from({ length: 30 }, (_, index) => index + 150)])
    const [answers, took] = await timed(test, vantage.probe(addresses, { ...ask(), kind: 'arp-probe' }))
    const found = shortly(answers?.observations)
    expect(found).toMatchObject({
      '.70': 'arp-probe answered 00:70',
      '.71': 'arp-probe answered 00:71',
      '.102': 'arp-probe unclear',
      '.150': 'arp-probe silent',
      '.179': 'arp-probe silent',
    })
    expect(took).toBeLessThan(15_000)
    // Once without root, which the node does not allow, and once with it.
    expect(commands.filter((command) => command.includes('arping -D'))).toHaveLength(2)
    const [both] = await timed(test, vantage.probe(addressesOf([72]), { ...ask(), kind: 'arping', count: 2 }))
    expect(shortly(both?.observations)).toEqual({ '.72': 'arping answered 00:72 01:72' })
  })

  it('without nmap has no scan, without arping no probe, and says what is missing', async () => {
    const { test, vantage } = await nodeOf('tools: { arping: false }')
    expect(await vantage.scan(addressesOf([77]), ask())).toBeUndefined()
    expect(await vantage.probe(addressesOf([77]), { ...ask(), kind: 'arp-probe' })).toBeUndefined()
    const [answers] = await timed(test, vantage.sweep(addressesOf([77]), ask()))
    expect(answers.warnings).toEqual([expect.stringMatching(/^n1 has no arping, .* iputils-arping/)])
    expect(shortly(answers.observations)).toEqual({ '.77': 'neighbour-table silent' })
  })

  it('that may not become root still sweeps; its arping is unclear, never silent', async () => {
    const { test, vantage } = await nodeOf(extraHosts, (runner) => ({
      ...runner,
      run: (program, args, options) =>
        options.asRoot === true
          ? Promise.resolve({ kind: 'not-permitted', reason: 'sudo asks for a password' })
          : runner.run(program, args, options),
    }))
    const [probed] = await timed(test, vantage.probe(addressesOf([70, 77]), { ...ask(), kind: 'arp-probe' }))
    expect(shortly(probed?.observations)).toEqual({ '.70': 'arp-probe unclear', '.77': 'arp-probe unclear' })
    expect(probed?.warnings.join()).toContain('may not send ARP requests')
    const [swept] = await timed(test, vantage.sweep(addressesOf([70, 77]), ask()))
    expect(shortly(swept.observations)).toMatchObject({ '.70': 'neighbour-table answered 00:70' })
  })

  it('names the way of its datagrams when it is not the usual one', async () => {
    const { test, vantage } = await nodeOf('', (runner) => ({
      ...runner,
      run: async (program, args, options) => {
        if (program === 'bash') return { kind: 'missing' }
        const isScript = program === 'sh' && args[1]?.includes('ping') === true
        if (!isScript) return await runner.run(program, args, options)
        // The lab's shell has no background jobs.
        const asked = args.slice(3)
        for (const address of asked) void runner.run('ping', ['-c', '1', '-W', '1', address], options)
        return Promise.resolve({
          kind: 'ended',
          exitCode: 0,
          stdout: asked.map((address) => `${address}\n`).join(''),
          stderr: '',
        })
      },
    }))
    const [answers] = await timed(test, vantage.sweep(addressesOf([1, 77]), ask()))
    expect(shortly(answers.observations)).toMatchObject({ '.77': 'neighbour-table silent' })
    expect(answers.warnings).toEqual([expect.stringMatching(/^n1 cannot send datagrams with bash, .* ping/)])
  })

  it('does not take the silence of an interface without a link for silence', async () => {
    const { test, vantage } = await nodeOf('', (runner) => ({
      ...runner,
      run: (program, args, options) =>
        args[0]?.endsWith('/carrier') === true
          ? Promise.resolve({ kind: 'ended', exitCode: 0, stdout: '0\n', stderr: '' })
          : runner.run(program, args, options),
    }))
    const [answers] = await timed(test, vantage.sweep(addressesOf([77]), ask()))
    expect(shortly(answers.observations)).toEqual({ '.77': 'neighbour-table unclear' })
    expect(answers.warnings.join()).toContain('no link')
  })

  it.each([
    ['cannot be read', { kind: 'ended', exitCode: 1, stdout: '', stderr: 'cat: Permission denied\n' }],
    ['takes too long', { kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }],
  ] as const)(
    'says that nobody can tell, not that there is no link, when the carrier %s',
    async (_, result) => {
      const { test, vantage } = await nodeOf(extraHosts, (runner) => ({
        ...runner,
        run: (program, args, options) =>
          args[0]?.endsWith('/carrier') === true
            ? Promise.resolve(result)
            : runner.run(program, args, options),
      }))
      const [answers] = await timed(test, vantage.sweep(addressesOf([70, 77]), ask()))
      expect(shortly(answers.observations)).toEqual({
        '.70': 'neighbour-table answered 00:70',
        '.77': 'neighbour-table unclear',
      })
      expect(answers.warnings.join()).toContain('It cannot be told whether ens160 of n1 has a link')
    },
  )

  it('takes the carrier of an interface that is down for none', async () => {
    const { test, vantage } = await nodeOf('', (runner) => ({
      ...runner,
      run: (program, args, options) =>
        args[0]?.endsWith('/carrier') === true
          ? Promise.resolve({ kind: 'ended', exitCode: 1, stdout: '', stderr: 'cat: …: Invalid argument\n' })
          : runner.run(program, args, options),
    }))
    const [answers] = await timed(test, vantage.sweep(addressesOf([77]), ask()))
    expect(answers.warnings.join()).toContain('ens160 of n1 had no link')
  })

  it('reads its own addresses with one command, each time anew', async () => {
    const { test, vantage, commands } = await nodeOf(extraHosts)
    await timed(test, vantage.probe(addressesOf([77]), { ...ask(), kind: 'arp-probe' }))
    const first = commands.splice(0)
    expect(
      first.filter((command) => /^(ip|cat|resolvectl) /.test(command) && !command.includes('/sys/')),
    ).toEqual(['ip -j addr'])
    await timed(test, vantage.probe(addressesOf([77]), { ...ask(), kind: 'arp-probe' }))
    expect(commands).toContain('ip -j addr')
  })

  it('stops at once when it is told to', async () => {
    const { vantage } = await nodeOf('')
    const abort = new AbortController()
    const options = { interface: 'ens160', signal: abort.signal }
    const running = [
      vantage.sweep(addressesOf([77]), options),
      vantage.probe(addressesOf([77, 78]), { ...options, kind: 'arp-probe' }),
    ]
    const ended = Promise.allSettled(running)
    setTimeout(() => {
      abort.abort(new Error('stopped'))
    }, 100)
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })
})
