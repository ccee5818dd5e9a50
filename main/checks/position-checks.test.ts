import { describe, expect, it } from 'vitest'
import { checkResultSchema, isBlocking, resultOf, type CheckResult } from '../../shared/checks/index.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import { checkOperatorPorts } from './operator-ports-check.ts'
import { checkPosition, type WorkstationPosition } from './position-checks.ts'

const base = planWith(1)
const plan = { ...base, site: { ...base.site, network: '10.10.200.0/24' } }
const good: WorkstationPosition = {
  facts: { interfaces: [eth('eth0', '10.10.200.5', 24)], gateways: [], nameServers: [] },
  programs: new Map([
    ['nmap', '7.93'],
    ['arping', 'iputils 20221126'],
  ]),
  maySendArp: true,
  proxyVariables: [],
  otherRun: undefined,
}

function eth(name: string, address: string, prefix: number, isUp = true) {
  return { name, isUp, mac: undefined, addresses: [{ address, prefix }] }
}

function stateOf(id: string, position: Partial<WorkstationPosition>): CheckResult {
  const results = checkPosition(plan, { ...good, ...position }).map((finding) =>
    checkResultSchema.parse(resultOf(finding, 0)),
  )
  const result = results.find((one) => one.id === id)
  if (result === undefined) throw new Error(`no ${id}`)
  return result
}

describe('the place of this workstation', () => {
  it('passes as a whole in the network of the site, with all programs', () => {
    const results = checkPosition(plan, good)
    expect(results.map(({ state }) => state)).toEqual(['pass', 'pass', 'pass', 'pass', 'pass'])
  })

  it.each([
    ['in another network', [eth('eth0', '192.168.1.5', 24)], 'warn'],
    ['in a part of that network', [eth('eth0', '10.10.200.5', 25)], 'warn'],
    ['switched off', [eth('eth0', '10.10.200.5', 24, false)], 'warn'],
    ['one of several', [eth('eth0', '192.168.1.5', 24), eth('eth1', '10.10.200.9', 24)], 'pass'],
    ['without any', [], 'warn'],
  ])('with its interface %s: ws.same-l2 is %s', (_name, interfaces, state) => {
    const result = stateOf('ws.same-l2', { facts: { interfaces, gateways: [], nameServers: [] } })
    expect(result.state).toBe(state)
    expect(isBlocking(result)).toBe(false)
  })

  it('is not asked for on the practice lab, and no pass where it cannot be read', () => {
    expect(stateOf('ws.same-l2', { facts: { unread: 'practice', isSkipped: true } }).state).toBe('skipped')
    expect(stateOf('ws.same-l2', { facts: { unread: 'no ip', isSkipped: false } }).state).toBe(
      'could-not-run',
    )
  })

  it('names the programs that are missing, and does not need them', () => {
    const result = stateOf('ws.tools', { programs: new Map([['nmap', undefined]]) })
    expect(result).toMatchObject({ state: 'warn', severity: 'info', measured: 'nmap: not there' })
  })

  it('says whether ARP may be sent, or that nobody knows', () => {
    expect(stateOf('ws.raw-socket', { maySendArp: false }).state).toBe('warn')
    expect(stateOf('ws.raw-socket', { maySendArp: undefined }).state).toBe('could-not-run')
  })

  it('names variables of a proxy, never their values', () => {
    expect(stateOf('ws.proxy-env', { proxyVariables: ['HTTPS_PROXY'] })).toMatchObject({
      state: 'pass',
      measured: expect.stringContaining('HTTPS_PROXY set, and not used') as string,
    })
  })

  it('blocks while somebody else works on the site', () => {
    expect(isBlocking(stateOf('ws.single-instance', { otherRun: 'process 7 on ops-1' }))).toBe(true)
  })
})

describe('ports of a node', () => {
  const [node] = plan.nodes
  if (node === undefined) throw new TypeError('a plan with one node has one')
  const open = { port: 5080, what: 'Local UI' as const, error: undefined }
  const closed = { port: 22, what: 'SSH' as const, error: 'connect ECONNREFUSED' }

  it('pass when both are open, and block with the one that is not', () => {
    expect(checkOperatorPorts(node, '10.10.200.11', [open]).state).toBe('pass')
    const finding = checkOperatorPorts(node, '10.10.200.11', [open, closed])
    expect(isBlocking(resultOf(finding, 0))).toBe(true)
    expect(finding.measured).toBe('Local UI (5080): open, SSH (22): connect ECONNREFUSED')
    expect(finding.remedy).toContain('open TCP 22 between')
  })
})
