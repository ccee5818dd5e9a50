import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FreeAddressReport } from '../../shared/addresses/index.ts'
import { findVip, runFindVip } from './find-vip-command.ts'
import { createSegmentLab, whyNoSegmentLab, type SegmentLab } from './segment-lab.ts'
import { startSshd, whyNoSshd, type TestSshd } from './sshd.ts'

const reason = whyNoSegmentLab() ?? whyNoSshd()
const network = '10.10.200.0/24'
const node = '10.10.200.11'
/** Of the node, on the network from which an operator who is not attached comes. */
const nodeElsewhere = '10.50.0.11'
const outsider = '10.10.200.250'
/** Another account without any capability but to read files: the project may lie in a folder of root's. */
const asNobody = [
  ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all,+dac_read_search'],
  ...['--inh-caps=-all,+dac_read_search', '--ambient-caps=-all,+dac_read_search'],
]

describe.skipIf(reason !== undefined)(
  `find-vip${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: 60_000 },
  () => {
    let lab: SegmentLab
    let sshd: TestSshd
    let elsewhere: string

    beforeAll(async () => {
      lab = await createSegmentLab({
        network,
        seeker: { address: '10.10.200.5', gateway: '10.10.200.1' },
        hosts: [
          { kind: 'answers', address: '10.10.200.1' },
          { kind: 'answers', address: node, moreAddresses: [`${nodeElsewhere}/24`] },
          { kind: 'drops', address: '10.10.200.40', moreAddresses: ['10.10.200.41', '10.10.200.42'] },
          { kind: 'duplicate', address: '10.10.200.60' },
          { kind: 'virtual-router', address: '10.10.200.80', protocol: 'vrrp' },
          { kind: 'answers', address: outsider },
        ],
      })
      const { namespace } = lab.hostAt(node)
      sshd = await startSshd(
        { insideAddress: '0.0.0.0', start: (program, args) => lab.start(namespace, program, args) },
        { port: 22, isReachable: false },
      )
      elsewhere = lab.hostAt(outsider).namespace
      await moveOutside(lab)
    })
    afterAll(async () => {
      await lab.remove()
      sshd.remove()
    })

    it('says for people that fewer were found than asked for; the report has no warning of it, because nothing went wrong', async () => {
      const part = ['10.10.200.170-10.10.200.173', '--count', '9']
      const report = await findVip(lab, part)
      expect(report.warnings).toEqual([])
      const found = report.candidates.length
      expect(found).toBeGreaterThan(0)
      expect(found).toBeLessThan(5)
      const { stdout } = await runFindVip(lab, part)
      expect(stdout).toContain(`Only ${found} of the 9 addresses that were asked for could be found.\n`)
      expect(stdout).not.toContain('warning:')
    })

    it('prints candidates with their evidence, what is used, and why', async () => {
      const report = await findVip(lab, [network, '--count', '5', '--exclude', '10.10.200.170,10.10.200.171'])
      expect(report).toMatchObject({ cidr: network, warnings: [], asked: { addresses: 254, of: 254 } })
      expect(report.vantages).toMatchObject([
        {
          name: 'workstation',
          isAttached: true,
          arp: 'valid',
          detail: `${lab.seeker.interface} 10.10.200.5/24`,
        },
      ])
      expect(report.vantages[0]?.methods).toEqual(
        expect.arrayContaining(['neighbour-table', 'nmap', 'arp-probe']),
      )
      expect(report.candidates).toHaveLength(5)
      for (const candidate of report.candidates) {
        expect(candidate.verdict).toBe('free')
        expect(candidate.confidence).toBeGreaterThan(0.8)
        const silent = candidate.evidence
          .filter(({ answer }) => answer === 'silent')
          .map(({ method }) => method)
        expect(silent).toEqual(expect.arrayContaining(['neighbour-table', 'arp-probe']))
      }
      const reasons = Object.fromEntries(report.used.map(({ address, reason: why }) => [address, why]))
      expect(Object.keys(reasons)).toEqual([
        ...[
          '10.10.200.1',
          '10.10.200.5',
          node,
          '10.10.200.40',
          '10.10.200.41',
          '10.10.200.42',
          '10.10.200.60',
        ],
        ...['10.10.200.80', '10.10.200.170', '10.10.200.171'],
      ])
      expect(reasons['10.10.200.1']).toBe('It is a gateway.')
      expect(reasons['10.10.200.5']).toBe('It is an address of this workstation.')
      expect(reasons['10.10.200.40']).toContain(lab.hostAt('10.10.200.40').mac)
      expect(reasons['10.10.200.80']).toMatch(/VRRP/)
      expect(reasons['10.10.200.170']).toBe('It is excluded by --exclude.')
    })

    it('works without any privilege', async () => {
      const report = await findVip(lab, [network, '--count', '3'], {
        wrapper: asNobody,
        env: { LANDFALL_STATE_DIR: '/nonexistent' },
      })
      expect(report.candidates).toHaveLength(3)
      expect([...report.used, ...report.doubtful].map(({ address }) => address)).toContain('10.10.200.41')
      expect(report.candidates[0]?.evidence.map(({ method }) => method)).toContain('neighbour-table')
    })

    it('asks once more with --recheck, and is surer then', async () => {
      const report = await findVip(lab, ['10.10.200.96/28', '--count', '2', '--recheck', '2'])
      expect(report.recheckedAfterSeconds).toBeGreaterThanOrEqual(2)
      expect(report.candidates.map(({ confidence }) => confidence)).toEqual([0.99, 0.99])
    })

    it('looks from a node over SSH when the workstation is on another network', async () => {
      const options = { namespace: elsewhere, env: { LANDFALL_VIA_PASSWORD: sshd.password } }
      const alone = await runFindVip(lab, [network], options)
      expect(alone.exitCode).toBe(1)
      expect(alone.stderr).toContain(`Nobody who could look is attached to ${network}.`)
      expect(alone.stderr).toContain('its networks are 10.50.0.0/24')

      const via = `${sshd.username}@${nodeElsewhere}`
      const first = await runFindVip(
        lab,
        ['10.10.200.32/27', '--count', '2', '--via', via, '--json'],
        options,
      )
      expect(first.stderr).toContain(`is known from now on as ssh-ed25519 ${sshd.fingerprints.ed25519}`)
      const report = await findVip(lab, ['10.10.200.32/27', '--count', '2', '--via', via], options)
      expect(report.vantages).toMatchObject([
        { name: via, kind: 'node', isAttached: true },
        { name: 'workstation', isAttached: false },
      ])
      expect(report.candidates).toHaveLength(2)
      expect(takenIn(report)).toEqual(
        expect.arrayContaining(['10.10.200.40', '10.10.200.41', '10.10.200.42', '10.10.200.60']),
      )
    })

    it('trusts no other machine in place of the one it looked from', async () => {
      const options = {
        namespace: elsewhere,
        env: { LANDFALL_VIA_PASSWORD: sshd.password, LANDFALL_STATE_DIR: join(lab.folder, 'other-state') },
      }
      const via = ['--via', `${sshd.username}@${nodeElsewhere}`]
      await mkdir(join(lab.folder, 'other-state/hosts'), { recursive: true })
      await writeFile(
        join(lab.folder, 'other-state/hosts/identities.json'),
        JSON.stringify({
          version: 1,
          identities: [
            {
              kind: 'ssh',
              host: nodeElsewhere,
              port: 22,
              identity: {
                algorithm: 'ssh-ed25519',
                fingerprint: 'SHA256:another',
                firstSeen: '2026-01-01T00:00:00Z',
              },
            },
          ],
        }),
      )
      const before = sshd.failures().length
      const ended = await runFindVip(lab, [network, ...via], options)
      expect(ended.exitCode).toBe(1)
      expect(ended.stderr).toContain(`landfall identity forget-host ${nodeElsewhere}`)
      expect(sshd.failures()).toHaveLength(before)
    })

    it.concurrent.each([
      ['10.0.0.0/33', '10.0.0.0/33'],
      ['10.10.200.5/24', '10.10.200.0/24'],
      ['10.10.200.9-10.10.200.2', '10.10.200.2-10.10.200.9'],
      ['fd00::/64', 'IPv4'],
      ['10.0.0.0/8', '/16'],
      ['ten', 'ten'],
    ])('refuses %s with the way out', async (cidr, hint) => {
      const ended = await runFindVip(lab, [cidr])
      expect(ended).toMatchObject({ exitCode: 2, stdout: '' })
      expect(ended.stderr).toContain(cidr)
      expect(ended.stderr).toContain(hint)
    })

    it('tells an interface that is down from one that is not there', async () => {
      const pair = ['down0', 'type', 'veth', 'peer', 'name', 'down1']
      await lab.exec(lab.seekerNamespace, 'ip', 'link', 'add', ...pair)
      const down = await runFindVip(lab, [network, '--interface', 'down0'])
      expect(down).toMatchObject({ exitCode: 2, stdout: '' })
      expect(down.stderr).toContain('The interface down0 is down.')
      const missing = await runFindVip(lab, [network, '--interface', 'eth77'])
      expect(missing).toMatchObject({ exitCode: 2, stdout: '' })
      expect(missing.stderr).toContain('no interface eth77')
    })

    it.concurrent.each([
      ['hangs', 'sleep 600'],
      ['prints rubbish', 'echo "<nmaprun><host>"; echo 10.10.200.99 is down'],
      ['fails', 'echo "something is wrong" >&2; exit 1'],
    ])('says so when nmap %s, and is right without it', async (_, script) => {
      const folder = join(lab.folder, `nmap-${script.length}`)
      await mkdir(folder)
      await writeFile(join(folder, 'nmap'), `#!/bin/sh\n${script}\n`)
      await chmod(join(folder, 'nmap'), 0o755)
      const report = await findVip(lab, ['10.10.200.32/27', '--count', '2'], {
        env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
      })
      expect(report.warnings.join(' ')).toMatch(/nmap/)
      expect(report.candidates).toHaveLength(2)
      expect(report.vantages[0]?.methods).not.toContain('nmap')
      // A machine that was heard a minute ago may be doubtful; it is never free.
      expect(takenIn(report)).toContain('10.10.200.41')
    })

    it('ends at once on Ctrl-C and leaves no process behind', async () => {
      const child = lab.start(lab.seekerNamespace, process.execPath, [
        join(import.meta.dirname, '../../main/console/landfall.ts'),
        ...['find-vip', network, '--recheck', '60', '--json'],
      ])
      await untilProgramsRun(lab)
      const begin = performance.now()
      child.kill('SIGINT')
      const code = await new Promise((resolve) => child.once('exit', resolve))
      expect(code).toBe(4)
      expect(performance.now() - begin).toBeLessThan(2000)
      expect(await programsIn(lab)).toEqual([])
    })
  },
)

/** Makes a workstation of it that is on another network of the same wire: not attached to that of the nodes. */
async function moveOutside(lab: SegmentLab): Promise<void> {
  const { namespace, legs } = lab.hostAt(outsider)
  const name = legs[0]?.interface ?? 'eth0'
  await lab.exec(namespace, 'ip', 'address', 'flush', 'dev', name)
  await lab.exec(namespace, 'ip', 'address', 'add', '10.50.0.5/24', 'dev', name)
}

function takenIn(report: FreeAddressReport): string[] {
  return [...report.used, ...report.doubtful].map(({ address }) => address)
}

async function programsIn(lab: SegmentLab): Promise<string[]> {
  const pids = (await lab.exec(lab.bridgeNamespace, 'ip', 'netns', 'pids', lab.seekerNamespace)).trim()
  return pids === '' ? [] : pids.split('\n')
}

/** Landfall itself, and something that it started. */
async function untilProgramsRun(lab: SegmentLab): Promise<void> {
  await expect.poll(async () => (await programsIn(lab)).length, { timeout: 20_000 }).toBeGreaterThan(1)
}
