import type { CheckId, Finding } from '../../../shared/checks/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import type { Fact } from '../../appliance/facts/fact.ts'
import type { DnsAnswer, DnsPurpose, NodeMeasurement, PortReading } from './measurements.ts'
import { dnsServersOf, externalRegistry, ntpServersOf, proxiesOf, searchDomainOf } from './plan-jobs.ts'
import { isServersFault } from './reasons.ts'

/** Milliseconds (checks.md, node.disk-speed). */
const diskLatency = { warn: 10, block: 50 }

type Verdict = Pick<Finding, 'state' | 'measured'> & { readonly severity?: 'block' | 'warn' }

/** What the node reaches beside the other nodes. */
export function serviceFindings(plan: Plan, node: NodeMeasurement): Finding[] {
  const finding = (
    id: CheckId,
    texts: Pick<Finding, 'threshold' | 'evidence' | 'remedy'>,
    verdict: Verdict,
  ): Finding => ({ id, target: node.name, ...texts, ...verdict })
  return [
    finding(
      'dns.servers-answer',
      {
        threshold: 'each name server of the plan answers within 2 s',
        evidence: `DNS questions by UDP from ${node.name}`,
        remedy: 'Correct site.dns in the plan, start the server, or open UDP port 53 from the nodes to it.',
      },
      nameServers(plan, node),
    ),
    finding(
      'dns.wildcard',
      {
        threshold: 'a name that nobody has got has no address',
        evidence: `DNS questions for a random name, with and without a dot at its end, from ${node.name}`,
        remedy:
          'Remove the wildcard record from the search domain, or use another search domain: pods would find wrong addresses.',
      },
      wildcard(plan, node),
    ),
    finding(
      'dns.registry',
      {
        threshold: 'each name server knows the registry, and all say the same',
        evidence: `DNS questions for ${externalRegistry(plan)?.name ?? 'the registry'} from ${node.name}`,
        remedy: 'Add the registry to every name server, or write its address into cluster.registry.endpoint.',
      },
      registryName(plan, node),
    ),
    finding(
      'dns.forward-reverse',
      {
        threshold: 'the name of the registry domain, if there is one, leads to the virtual IP address',
        evidence: `DNS questions for the virtual IP address from ${node.name}`,
        remedy:
          'Correct the record of this name in the name servers, or cluster.registry.rootDomain in the plan.',
      },
      nameOfVip(plan, node),
    ),
    finding(
      'ntp.servers-answer',
      {
        threshold: 'time servers of the plan answer and know the time: two of them, or the only one',
        evidence: `NTP questions by UDP from ${node.name}`,
        remedy: 'Correct site.ntp in the plan, start the server, or open UDP port 123 from the nodes to it.',
      },
      timeServers(plan, node),
    ),
    finding(
      'proxy.reach',
      {
        threshold: 'the proxy accepts a TCP connection',
        evidence: `TCP connection from ${node.name}`,
        remedy: 'Correct site.proxy in the plan, start the proxy, or open its port for the nodes.',
      },
      proxies(plan, node),
    ),
    finding(
      'reg.reach',
      {
        threshold: 'the registry answers 200 or 401',
        evidence: `GET ${externalRegistry(plan)?.url ?? '/v2/'} with curl or wget on ${node.name}`,
        remedy: 'Correct cluster.registry in the plan, start the registry, or open its port for the nodes.',
      },
      registryAnswer(plan, node),
    ),
  ]
}

function nameServers(plan: Plan, node: NodeMeasurement): Verdict {
  const planned = dnsServersOf(plan, node.name)
  if (planned.length === 0) return { state: 'skipped', measured: 'the plan names no name servers' }
  const told = planned.map((server) => {
    const answers = answersOf(node, 'alive', server)
    return { server, answer: answers[0]?.answer }
  })
  const texts: string[] = []
  let worst: Verdict['state'] = 'pass'
  for (const { server, answer } of told) {
    if (answer?.kind === 'read') texts.push(`${server} answers (${answer.value.code})`)
    else {
      const reason = answer?.reason ?? 'not asked'
      texts.push(`${server}: ${reason}`)
      if (isServersFault(reason)) worst = 'fail'
      else if (worst === 'pass') worst = 'could-not-run'
    }
  }
  return { state: worst, measured: texts.join('; ') }
}

function wildcard(plan: Plan, node: NodeMeasurement): Verdict {
  const domain = searchDomainOf(plan, node.name)
  if (domain === undefined) return { state: 'skipped', measured: 'the plan names no search domain' }
  if (dnsServersOf(plan, node.name).length === 0) {
    return { state: 'skipped', measured: 'the plan names no name servers' }
  }
  const answers = answersOf(node, 'wildcard')
  for (const { server, name, answer } of answers) {
    if (answer.kind === 'read' && answer.value.addresses.length > 0) {
      return {
        state: 'fail',
        measured: `${server} says that ${name} is ${answer.value.addresses.join(', ')}`,
      }
    }
  }
  const unknown = answers.find(({ answer }) => answer.kind === 'unread')
  if (answers.length === 0 || unknown?.answer.kind === 'unread') {
    const { answer } = unknown ?? {}
    return {
      state: 'could-not-run',
      measured: answer?.kind === 'unread' ? `${unknown?.server ?? ''}: ${answer.reason}` : 'not asked',
    }
  }
  return { state: 'pass', measured: `a random name in ${domain} has no address` }
}

function registryName(plan: Plan, node: NodeMeasurement): Verdict {
  const registry = externalRegistry(plan)
  if (registry === undefined) return { state: 'skipped', measured: 'the registry is inside of the cluster' }
  if (registry.name === undefined)
    return { state: 'skipped', measured: 'the plan has an address, not a name' }
  const answers =
    node.registryAddresses === undefined
      ? answersOf(node, 'registry').map(({ server, answer }) => ({ server, answer: addressesOf(answer) }))
      : [{ server: 'its own resolver', answer: node.registryAddresses }]
  if (answers.length === 0) return { state: 'could-not-run', measured: 'not asked' }
  const unknown = answers.find(({ answer }) => answer.kind === 'unread')
  if (unknown?.answer.kind === 'unread') {
    return { state: 'could-not-run', measured: `${unknown.server}: ${unknown.answer.reason}` }
  }
  const texts = answers.map(({ server, answer }) => {
    const addresses = answer.kind === 'read' ? answer.value.join(', ') : ''
    return { server, addresses }
  })
  const measured = texts
    .map(({ server, addresses }) => `${server}: ${addresses === '' ? 'no address' : addresses}`)
    .join('; ')
  const isSame = new Set(texts.map(({ addresses }) => addresses)).size === 1
  return { state: isSame && texts[0]?.addresses !== '' ? 'pass' : 'fail', measured }
}

function nameOfVip(plan: Plan, node: NodeMeasurement): Verdict {
  const { vip } = plan.site
  if (vip === 'auto') return { state: 'skipped', measured: 'the virtual IP address is not chosen yet' }
  const [server] = dnsServersOf(plan, node.name)
  if (server === undefined) return { state: 'skipped', measured: 'the plan names no name servers' }
  const [reverse] = answersOf(node, 'reverse', server)
  const [forward] = answersOf(node, 'forward', server)
  if (reverse?.answer.kind !== 'read') {
    return { state: 'could-not-run', measured: `${server}: ${reverse?.answer.reason ?? 'not asked'}` }
  }
  const { names } = reverse.answer.value
  const first = names.length === 0 ? `${vip} has no name, which is no fault` : `${vip} is ${names.join(', ')}`
  if (forward === undefined) return { state: 'pass', measured: first }
  if (forward.answer.kind === 'unread') {
    return { state: 'could-not-run', measured: `${server}: ${forward.answer.reason}` }
  }
  const { addresses } = forward.answer.value
  const second = `${forward.name} is ${addresses.length === 0 ? 'no address' : addresses.join(', ')}`
  return { state: addresses.join() === vip ? 'pass' : 'fail', measured: `${first}; ${second}` }
}

function timeServers(plan: Plan, node: NodeMeasurement): Verdict {
  const planned = ntpServersOf(plan, node.name)
  if (planned.length === 0) return { state: 'skipped', measured: 'the plan names no time servers' }
  const texts: string[] = []
  let good = 0
  let bad = 0
  for (const server of planned) {
    const answer = node.ntp.find((one) => one.server === server)?.answer
    if (answer?.kind !== 'read') {
      const reason = answer?.reason ?? 'not asked'
      texts.push(`${server}: ${reason}`)
      if (isServersFault(reason)) bad += 1
    } else if (answer.value.isSynchronized) {
      texts.push(`${server} answers, stratum ${answer.value.stratum}`)
      good += 1
    } else {
      texts.push(`${server} does not know the time itself (stratum ${answer.value.stratum})`)
      bad += 1
    }
  }
  const measured = texts.join('; ')
  const wanted = Math.min(2, planned.length)
  if (good === planned.length) return { state: 'pass', measured }
  if (planned.length - bad < wanted) return { state: 'fail', measured }
  if (good < wanted) return { state: 'could-not-run', measured }
  return bad > 0
    ? { state: 'fail', severity: 'warn', measured }
    : { state: 'could-not-run', severity: 'warn', measured }
}

function proxies(plan: Plan, node: NodeMeasurement): Verdict {
  if (proxiesOf(plan).length === 0) return { state: 'skipped', measured: 'the plan has no proxy' }
  if (node.proxies.length === 0) return { state: 'could-not-run', measured: 'not asked' }
  const states = node.proxies.map(({ url, port }) => ({ url, ...portVerdict(port) }))
  const worst = states.find(({ state }) => state === 'fail') ?? states.find(({ state }) => state !== 'pass')
  return {
    state: worst?.state ?? 'pass',
    measured: states.map(({ url, measured }) => `${url}: ${measured}`).join('; '),
  }
}

/** A service that refuses is not there, though its machine is. */
function portVerdict(port: Fact<PortReading>): Verdict {
  if (port.kind === 'unread') return { state: 'could-not-run', measured: port.reason }
  switch (port.value.state) {
    case 'open':
      return { state: 'pass', measured: 'accepts connections' }
    case 'refused':
      return { state: 'fail', measured: 'refuses connections' }
    case 'silent':
    case 'unreachable':
      return { state: 'fail', measured: 'does not answer' }
    case 'unknown':
      return { state: 'could-not-run', measured: port.value.detail ?? 'not known' }
  }
}

function registryAnswer(plan: Plan, { registry }: NodeMeasurement): Verdict {
  if (externalRegistry(plan) === undefined) {
    return { state: 'skipped', measured: 'the registry is inside of the cluster' }
  }
  if (registry === undefined) return { state: 'could-not-run', measured: 'not asked' }
  const port = portVerdict(registry.port)
  const { answer } = registry
  if (answer.kind === 'unread') {
    return port.state === 'fail' ? port : { state: 'could-not-run', measured: answer.reason }
  }
  switch (answer.value.kind) {
    case 'status': {
      const { status } = answer.value
      return { state: status === 200 || status === 401 ? 'pass' : 'fail', measured: `answers ${status}` }
    }
    case 'untrusted':
      // The CA of the plan comes to the node with the cluster.
      return {
        state: 'could-not-run',
        severity: 'warn',
        measured: 'answers by TLS with a certificate that the node does not trust yet; more was not asked',
      }
    case 'failed':
      return port.state === 'fail' ? port : { state: 'fail', measured: answer.value.reason }
  }
}

function answersOf(node: NodeMeasurement, purpose: DnsPurpose, only?: string) {
  return node.dns
    .filter(({ server }) => only === undefined || server === only)
    .flatMap(({ server, questions }) =>
      questions.filter((question) => question.purpose === purpose).map((one) => ({ server, ...one })),
    )
}

function addressesOf(answer: Fact<DnsAnswer>): Fact<readonly string[]> {
  return answer.kind === 'read' ? { ...answer, value: answer.value.addresses } : answer
}

export function gatewayFinding(node: NodeMeasurement): Finding {
  const { gateway } = node
  const finding = {
    id: 'net.gateway-answers',
    target: node.name,
    threshold: 'answers ARP, or ping',
    evidence: gateway === undefined ? '/proc/net/route' : `${gateway.source} on ${node.name}`,
    remedy:
      'Correct the gateway of the node, or start the router; without it the node reaches its own network only.',
  } as const
  if (gateway === undefined) {
    return {
      ...finding,
      state: 'skipped',
      measured: 'the node has no default route, and the plan names no gateway',
    }
  }
  if (gateway.kind === 'unread') return { ...finding, state: 'could-not-run', measured: gateway.reason }
  const { address, mac, ping } = gateway.value
  const answers = ping.kind === 'read' && ping.value.received > 0
  if (mac !== undefined || answers) {
    const how = [mac === undefined ? undefined : `ARP (${mac})`, answers ? 'ping' : undefined]
    const not = ping.kind === 'unread' ? `; ping was not asked: ${ping.reason}` : answers ? '' : ', not ping'
    return {
      ...finding,
      state: 'pass',
      measured: `${address} answers ${how.filter((one) => one !== undefined).join(' and ')}${not}`,
    }
  }
  // Without ping nothing made the node ask by ARP.
  if (ping.kind === 'unread') return { ...finding, state: 'could-not-run', measured: ping.reason }
  return { ...finding, state: 'fail', measured: `${address} answers neither ARP nor ping` }
}

export function diskFinding({ name, disk }: NodeMeasurement, isAsked: boolean): Finding {
  const finding = {
    id: 'node.disk-speed',
    target: name,
    threshold: `99 % of the writes are safe within ${diskLatency.warn} ms; more than ${diskLatency.block} ms blocks`,
    evidence: disk?.source ?? 'fio or dd',
    remedy: 'Use faster disks (SSD, NVMe), or a faster datastore: etcd writes to the disk for every change.',
  } as const
  if (!isAsked) {
    return { ...finding, state: 'skipped', measured: 'not asked for: it writes to the disks of the nodes' }
  }
  if (disk === undefined || disk.kind === 'unread') {
    return { ...finding, state: 'could-not-run', measured: disk?.reason ?? 'not asked' }
  }
  const { percentile99, writes, tool, folder } = disk.value
  const measured = `${percentile99.toFixed(1)} ms (99 % of ${writes} writes by ${tool} in ${folder})`
  if (percentile99 > diskLatency.block) return { ...finding, state: 'fail', severity: 'block', measured }
  if (percentile99 > diskLatency.warn) return { ...finding, state: 'fail', severity: 'warn', measured }
  return { ...finding, state: 'pass', measured }
}
