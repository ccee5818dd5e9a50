import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  changeSafely,
  rollBackSeconds,
  type SafeChangeOutcome,
} from '../../main/appliance/host-configuration/change-safely.ts'
import type { InterfaceSettings } from '../../main/appliance/host-configuration/interface-settings.ts'
import {
  beginNetworkChange,
  readNetworkChange,
} from '../../main/appliance/host-configuration/network-change.ts'
import { AppError } from '../../shared/errors/index.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { createNetworkdNode, eventually, whyNoNetworkd, type NetworkdNode } from './networkd-node.ts'

const reason = whyNoNetworkd()

describe.skipIf(reason !== undefined)(
  `Changing the address of a node with systemd-networkd and sshd${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: 60_000 },
  () => {
    let node: NetworkdNode
    beforeEach(async () => {
      node = await createNetworkdNode()
    })
    afterEach(async () => {
      await node.remove()
    })
    const signal = new AbortController().signal

    const settings = (change: Partial<InterfaceSettings & { mode: 'static' }> = {}): InterfaceSettings => ({
      name: node.nic,
      mode: 'static',
      address: `${node.prefix}.3`,
      prefix: 24,
      gateway: undefined,
      mtu: undefined,
      vlan: undefined,
      nameservers: [],
      ...change,
    })

    async function change(wanted: InterfaceSettings, seconds: number): Promise<SafeChangeOutcome> {
      const there = wanted.mode === 'static' ? wanted.address : node.address
      return changeSafely({
        runner: await node.open(node.address),
        change: { id: 'test-1', settings: wanted, rollBackSeconds: seconds, places: node.places },
        clock: systemClock,
        signal,
        reachThere: () => node.open(there, { timeoutMilliseconds: 1000 }),
        reachAnywhere: () => node.open(node.address, { timeoutMilliseconds: 1000 }),
        progress: () => undefined,
      })
    }

    const files = (address: string) =>
      node.sh(address, 'ls /run/systemd/network /run/landfall /run/oem /etc/systemd/network 2>&1')

    async function expectUntouched(): Promise<void> {
      expect(await node.addresses()).toEqual([`${node.address}/24`])
      const seen = await files(node.address)
      expect(seen).not.toMatch(/05-landfall|04-landfall|landfall-new|96_landfall/)
    }

    it('stays when it was reached there, also after a restart', async () => {
      expect(await change(settings({ mtu: 1400 }), 8)).toEqual({ kind: 'confirmed' })
      const there = `${node.prefix}.3`
      expect(await node.addresses()).toEqual([`${there}/24`])
      expect(await node.sh(there, `cat /sys/class/net/${node.nic}/mtu`)).toBe('1400\n')
      const seen = await files(there)
      expect(seen).toContain('96_landfall_network.yaml')
      expect(seen).toContain(`05-landfall-${node.nic}.network`)
      expect(seen).not.toMatch(/landfall-trial|landfall-new/)
      // The time of the roll-back passes, and nothing happens.
      await new Promise((resolve) => setTimeout(resolve, 9000))
      expect(await node.addresses()).toEqual([`${there}/24`])
      await node.restart()
      await eventually(async () => (await node.addresses()).join() === `${there}/24`)
    })

    it('comes back when the new address is in a network that is not there', async () => {
      const outcome = await change(settings({ address: '10.198.77.3', mtu: 1300 }), 4)
      expect(outcome).toMatchObject({ kind: 'rolled-back' })
      await expectUntouched()
      expect(await node.sh(node.address, `cat /sys/class/net/${node.nic}/mtu`)).toBe('1500\n')
    })

    it('comes back when the VLAN is wrong', async () => {
      const outcome = await change(settings({ vlan: 77 }), 4)
      expect(outcome).toMatchObject({ kind: 'rolled-back' })
      await expectUntouched()
      expect(await node.lab.exec('ip', '-o', 'link')).not.toContain('.77')
    })

    it('comes back when a firewall drops what is sent to the new address', async () => {
      await node.lab.exec('nft', 'add table ip drops')
      await node.lab.exec('nft', 'add chain ip drops in { type filter hook input priority 0; }')
      await node.lab.exec('nft', `add rule ip drops in ip daddr ${node.prefix}.3 drop`)
      expect(await change(settings(), 4)).toMatchObject({ kind: 'rolled-back' })
      await expectUntouched()
    })

    it('comes back, and says so, when somebody else answers at the new address', async () => {
      await node.answerAs(`${node.prefix}.3`)
      const outcome = await change(settings(), 4)
      expect(outcome).toMatchObject({
        kind: 'rolled-back',
        reason: expect.stringMatching(/another host key|key/i) as string,
      })
      await expectUntouched()
    })

    it('comes back within a minute with the time that is used in earnest', { timeout: 90_000 }, async () => {
      const started = Date.now()
      const lost: number[] = []
      const runner = await node.open(node.address)
      await beginNetworkChange(
        runner,
        {
          id: 'test-1',
          settings: settings({ address: '10.198.77.3' }),
          rollBackSeconds,
          places: node.places,
        },
        signal,
      )
      await eventually(async () => (await node.addresses()).join() === '10.198.77.3/24')
      lost.push(Date.now() - started)
      for (;;) {
        if ((await node.addresses()).includes(`${node.address}/24`)) break
        if (Date.now() - started > 70_000) break
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      const seconds = (Date.now() - started) / 1000
      expect(seconds).toBeGreaterThan(rollBackSeconds - 1)
      expect(seconds).toBeLessThan(60)
      await eventually(
        async () => (await readNetworkChange(await node.open(node.address), signal)).kind === 'rolled-back',
      )
      await expectUntouched()
    })

    it('comes back when Landfall is killed in the middle', async () => {
      const child = spawn(
        process.execPath,
        [
          join(import.meta.dirname, 'change-until-killed.ts'),
          JSON.stringify({
            address: node.address,
            key: node.userKeyFile,
            fingerprint: node.fingerprint,
            change: { id: 'test-1', settings: settings(), rollBackSeconds: 4, places: node.places },
          }),
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      for await (const line of createInterface({ input: child.stdout })) if (line === 'begun') break
      child.kill('SIGKILL')
      await once(child, 'exit')
      await eventually(async () => (await node.addresses()).join() === `${node.prefix}.3/24`)
      // It is reachable there, but nobody confirms.
      expect((await readNetworkChange(await node.open(`${node.prefix}.3`), signal)).kind).toBe('pending')
      await eventually(async () => (await node.addresses()).join() === `${node.address}/24`)
      await eventually(
        async () => (await readNetworkChange(await node.open(node.address), signal)).kind === 'rolled-back',
      )
      await expectUntouched()
      // And Landfall begins anew.
      expect(await change(settings(), 8)).toEqual({ kind: 'confirmed' })
    })

    it('comes back when the node restarts before it was confirmed', async () => {
      const runner = await node.open(node.address)
      await beginNetworkChange(
        runner,
        { id: 'test-1', settings: settings(), rollBackSeconds: 30, places: node.places },
        signal,
      )
      await eventually(async () => (await node.addresses()).join() === `${node.prefix}.3/24`)
      await node.restart()
      await eventually(async () => (await node.addresses()).join() === `${node.address}/24`)
      await eventually(
        async () => (await readNetworkChange(await node.open(node.address), signal)).kind === 'none',
      )
    })

    it('is not begun twice at a time', async () => {
      const first = { id: 'test-1', settings: settings(), rollBackSeconds: 5, places: node.places }
      expect(await beginNetworkChange(await node.open(node.address), first, signal)).toBe('begun')
      await eventually(async () => (await node.addresses()).join() === `${node.prefix}.3/24`)
      const there = await node.open(`${node.prefix}.3`)
      expect(await beginNetworkChange(there, { ...first, id: 'test-2' }, signal)).toBe('pending')
      await eventually(async () => (await node.addresses()).join() === `${node.address}/24`)
    })

    it.each([
      ['there is no such interface', {}, { name: 'eth77' }, /no network interface eth77/],
      [
        'the place for lasting settings is read-only',
        { cloudConfigs: '/sys/oem' },
        {},
        /96_landfall_network\.yaml cannot be written/,
      ],
      ['the disk is full', { cloudConfigs: '/run/full' }, {}, /No space left/],
    ])('is refused, with nothing changed, when %s', async (_, places, wrong, said) => {
      await node.sh(
        node.address,
        'mkdir /run/full; mount -t tmpfs -o size=4k tmpfs /run/full; head -c 4096 /dev/zero >/run/full/f',
      )
      const begun = beginNetworkChange(
        await node.open(node.address),
        {
          id: 'test-1',
          settings: settings(wrong),
          rollBackSeconds: 4,
          places: { ...node.places, ...places },
        },
        signal,
      )
      await expect(begun).rejects.toMatchObject({
        code: 'NETWORK_CHANGE_REFUSED',
        detail: expect.stringMatching(said) as string,
      })
      await expect(begun).rejects.toBeInstanceOf(AppError)
      expect((await readNetworkChange(await node.open(node.address), signal)).kind).toBe('none')
      await expectUntouched()
    })
  },
)
