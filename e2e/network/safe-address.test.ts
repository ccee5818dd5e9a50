import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import {
  changeSafely,
  rollBackSeconds,
  type SafeChangeOutcome,
} from '../../main/appliance/host-configuration/change-safely.ts'
import type { InterfaceSettings } from '../../main/appliance/host-configuration/interface-settings.ts'
import type { NodePlaces } from '../../main/appliance/host-configuration/network-files.ts'
import {
  beginNetworkChange,
  readNetworkChange,
} from '../../main/appliance/host-configuration/network-change.ts'
import { AppError } from '../../shared/errors/index.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { createNetworkdNode, eventually, whyNoNetworkd, type NetworkdNode } from './networkd-node.ts'

const reason = whyNoNetworkd()

/** Seconds until the node takes a change back, where the test waits for that. */
const soon = 4
/** Seconds, where something has to happen before that, on a busy machine. */
const later = 12
const signal = new AbortController().signal

describe.skipIf(reason !== undefined)(
  `Changing the address of a node with systemd-networkd and sshd${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: 90_000, concurrent: true },
  () => {
    // First, because it takes longest.
    it('comes back within a minute with the time that is used in earnest', async (test) => {
      const node = await freshNode(test)
      const started = Date.now()
      await begin(node, settingsOn(node, elsewhere), rollBackSeconds)
      await eventually(async () => (await node.addresses()).join() === '10.198.77.3/24')
      while (!(await node.addresses()).includes(`${node.address}/24`) && Date.now() - started < 70_000)
        await setTimeout(200)
      const seconds = (Date.now() - started) / 1000
      expect(seconds).toBeGreaterThan(rollBackSeconds - 1)
      expect(seconds).toBeLessThan(60)
      await untilRolledBack(node)
      await expectUntouched(node)
    })

    it('stays when it was reached there, also after a restart', async (test) => {
      const node = await freshNode(test)
      const there = `${node.prefix}.3`
      expect(await change(node, settingsOn(node, { mtu: 1400 }), later)).toEqual({ kind: 'confirmed' })
      const confirmed = Date.now()
      expect(await node.addresses()).toEqual([`${there}/24`])
      expect(await node.sh(there, `cat /sys/class/net/${node.nic}/mtu`)).toBe('1400\n')
      const seen = await files(node, there)
      expect(seen).toContain('96_landfall_network.yaml')
      expect(seen).toContain(`05-landfall-${node.nic}.network`)
      expect(seen).not.toMatch(/landfall-trial|landfall-new/)
      // The time of the roll-back passes, and nothing happens.
      await setTimeout(Math.max(0, confirmed + (later + 2) * 1000 - Date.now()))
      expect(await node.addresses()).toEqual([`${there}/24`])
      await node.restart()
      await eventually(async () => (await node.addresses()).join() === `${there}/24`)
    })

    it('comes back when Landfall is killed in the middle', async (test) => {
      const node = await freshNode(test)
      const child = spawn(
        process.execPath,
        [
          join(import.meta.dirname, 'change-until-killed.ts'),
          JSON.stringify({
            address: node.address,
            key: node.userKeyFile,
            fingerprint: node.fingerprint,
            change: { id: 'test-1', settings: settingsOn(node), rollBackSeconds: 8, places: node.places },
          }),
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      test.onTestFinished(() => {
        child.kill('SIGKILL')
      })
      for await (const line of createInterface({ input: child.stdout })) if (line === 'begun') break
      child.kill('SIGKILL')
      await once(child, 'exit')
      await eventually(async () => (await node.addresses()).join() === `${node.prefix}.3/24`)
      // It is reachable there, but nobody confirms.
      expect((await readNetworkChange(await node.open(`${node.prefix}.3`), signal)).kind).toBe('pending')
      await untilRolledBack(node)
      await expectUntouched(node)
      // And Landfall begins anew.
      expect(await change(node, settingsOn(node), later)).toEqual({ kind: 'confirmed' })
    })

    it('comes back when the new address is in a network that is not there', async (test) => {
      const node = await freshNode(test)
      expect(await change(node, settingsOn(node, { ...elsewhere, mtu: 1300 }), soon)).toMatchObject({
        kind: 'rolled-back',
      })
      await expectUntouched(node)
      expect(await node.sh(node.address, `cat /sys/class/net/${node.nic}/mtu`)).toBe('1500\n')
    })

    it('comes back when the VLAN is wrong', async (test) => {
      const node = await freshNode(test)
      expect(await change(node, settingsOn(node, { vlan: 77 }), soon)).toMatchObject({ kind: 'rolled-back' })
      await expectUntouched(node)
      expect(await node.lab.exec('ip', '-o', 'link')).not.toContain('.77')
    })

    it('comes back when a firewall drops what is sent to the new address', async (test) => {
      const node = await freshNode(test)
      await node.lab.exec('nft', 'add table ip drops')
      await node.lab.exec('nft', 'add chain ip drops in { type filter hook input priority 0; }')
      await node.lab.exec('nft', `add rule ip drops in ip daddr ${node.prefix}.3 drop`)
      expect(await change(node, settingsOn(node), soon)).toMatchObject({ kind: 'rolled-back' })
      await expectUntouched(node)
    })

    it('comes back, and says so, when somebody else answers at the new address', async (test) => {
      const node = await freshNode(test)
      await node.answerAs(`${node.prefix}.3`)
      expect(await change(node, settingsOn(node), soon)).toMatchObject({
        kind: 'rolled-back',
        reason: expect.stringMatching(/another host key|key/i) as string,
      })
      await expectUntouched(node)
    })

    it('comes back when the node restarts before it was confirmed', async (test) => {
      const node = await freshNode(test)
      await begin(node, settingsOn(node), 60)
      await eventually(async () => (await node.addresses()).join() === `${node.prefix}.3/24`)
      await node.restart()
      await eventually(async () => (await node.addresses()).join() === `${node.address}/24`)
      await eventually(
        async () => (await readNetworkChange(await node.open(node.address), signal)).kind === 'none',
      )
      await expectUntouched(node)
    })

    it('is not begun twice at a time', async (test) => {
      const node = await freshNode(test)
      expect(await begin(node, settingsOn(node), later)).toBe('begun')
      await eventually(async () => (await node.addresses()).join() === `${node.prefix}.3/24`)
      const there = await node.open(`${node.prefix}.3`)
      const second = { id: 'test-2', settings: settingsOn(node), rollBackSeconds: 60, places: node.places }
      expect(await beginNetworkChange(there, second, signal)).toBe('pending')
      // The first one keeps its time.
      await untilRolledBack(node)
      await expectUntouched(node)
    })

    it.for<[string, Partial<NodePlaces>, Partial<StaticSettings>, RegExp]>([
      ['there is no such interface', {}, { name: 'eth77' }, /no network interface eth77/],
      [
        'the place for lasting settings is read-only',
        { cloudConfigs: '/sys/oem' },
        {},
        /96_landfall_network\.yaml cannot be written/,
      ],
      ['the disk is full', { cloudConfigs: '/run/full' }, {}, /No space left/],
    ])('is refused, with nothing changed, when %s', async ([, places, wrong, said], test) => {
      const node = await freshNode(test)
      await node.sh(
        node.address,
        'mkdir /run/full; mount -t tmpfs -o size=4k tmpfs /run/full; head -c 4096 /dev/zero >/run/full/f',
      )
      const begun = begin(node, settingsOn(node, wrong), soon, places)
      await expect(begun).rejects.toMatchObject({
        code: 'NETWORK_CHANGE_REFUSED',
        detail: expect.stringMatching(said) as string,
      })
      await expect(begun).rejects.toBeInstanceOf(AppError)
      expect((await readNetworkChange(await node.open(node.address), signal)).kind).toBe('none')
      await expectUntouched(node)
    })
  },
)

type StaticSettings = Extract<InterfaceSettings, { mode: 'static' }>

/** A network that the other end of the cable is not in. */
const elsewhere = { address: '10.198.77.3' }

/** A node of its own for a test, removed with it, also where it fails or is stopped. */
async function freshNode({ onTestFinished }: TestContext): Promise<NetworkdNode> {
  const creating = createNetworkdNode()
  onTestFinished(async ({ task }) => {
    const node = await creating.catch(() => undefined)
    if (task.result?.state === 'fail') process.stderr.write(`${task.name}:\n${node?.logs() ?? ''}\n`)
    await node?.remove()
    expect(node?.leftovers() ?? []).toEqual([])
  }, 30_000)
  return creating
}

/** The interface of the node with another address in its network, and what is given. */
function settingsOn(node: NetworkdNode, change: Partial<StaticSettings> = {}): StaticSettings {
  return {
    name: node.nic,
    mode: 'static',
    address: `${node.prefix}.3`,
    prefix: 24,
    gateway: undefined,
    mtu: undefined,
    vlan: undefined,
    nameservers: [],
    ...change,
  }
}

async function begin(
  node: NetworkdNode,
  settings: InterfaceSettings,
  seconds: number,
  places: Partial<NodePlaces> = {},
): Promise<'begun' | 'pending'> {
  return beginNetworkChange(
    await node.open(node.address),
    { id: 'test-1', settings, rollBackSeconds: seconds, places: { ...node.places, ...places } },
    signal,
  )
}

async function change(
  node: NetworkdNode,
  settings: StaticSettings,
  seconds: number,
): Promise<SafeChangeOutcome> {
  return changeSafely({
    runner: await node.open(node.address),
    change: { id: 'test-1', settings, rollBackSeconds: seconds, places: node.places },
    clock: systemClock,
    signal,
    reachThere: () => node.open(settings.address, { timeoutMilliseconds: 1000 }),
    reachAnywhere: () => node.open(node.address, { timeoutMilliseconds: 1000 }),
    progress: () => undefined,
  })
}

/** The node has all back and says so. */
async function untilRolledBack(node: NetworkdNode): Promise<void> {
  await eventually(async () => (await node.addresses()).join() === `${node.address}/24`)
  await eventually(
    async () => (await readNetworkChange(await node.open(node.address), signal)).kind === 'rolled-back',
  )
}

const files = (node: NetworkdNode, address: string) =>
  node.sh(address, 'ls /run/systemd/network /run/landfall /run/oem /etc/systemd/network 2>&1')

async function expectUntouched(node: NetworkdNode): Promise<void> {
  expect(await node.addresses()).toEqual([`${node.address}/24`])
  // By systemd-networkd itself, which has not given the interface up.
  await eventually(() => node.isConfigured())
  expect(await files(node, node.address)).not.toMatch(/05-landfall|04-landfall|landfall-new|96_landfall/)
}
