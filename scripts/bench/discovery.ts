import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { findVip } from '../../e2e/network/find-vip-command.ts'
import { createSegmentLab, whyNoSegmentLab, type SegmentLab } from '../../e2e/network/segment-lab.ts'
import type { HostSpec } from '../../e2e/network/segment-hosts.ts'
import type { Ratio } from './ratio.ts'

const peakReporter = pathToFileURL(join(import.meta.dirname, '../../e2e/performance/report-peak.ts')).href

/** What discovery is measured with. */
const network = '10.10.200.0/24'
const largeNetwork = '10.20.0.0/20'
/** A part of the network with two of the hosts; the seed's command takes most of an hour for the whole of it. */
const partOfNetwork = { cidr: '10.10.200.8/29', parts: 32 }

export interface DiscoveryMeasurement {
  readonly rows: readonly Ratio[]
  readonly notes: readonly string[]
}

/**
 * `find-vip` against nmap, and against the command of the documentation, on a segment with 40 hosts of which half drop
 * everything. A text: why it cannot be measured here.
 */
export async function measureDiscovery(): Promise<DiscoveryMeasurement | string> {
  const reason = whyNoSegmentLab()
  if (reason !== undefined) return reason
  const lab = await createSegmentLab({ network, hosts: fortyHosts(), seeker: { address: '10.10.200.5' } })
  try {
    const small = await look(lab, [network, '--count', '5'])
    const nmap = await secondsOf(lab, ['-sn', '-n', network])
    const seedPart = await secondsOf(lab, ['--unprivileged', '-sT', '-Pn', partOfNetwork.cidr])
    const seed = seedPart * partOfNetwork.parts
    return {
      rows: [
        {
          what: 'find-vip: every address of a /24 asked three times, against nmap -sn -n as root',
          unit: 's',
          ours: small.report.sweptMs / 1000,
          theirs: nmap,
        },
        {
          what: `find-vip: 5 proven addresses of a /24, against nmap --unprivileged -sT -Pn (measured on ${partOfNetwork.cidr}, × ${partOfNetwork.parts})`,
          unit: 's',
          ours: small.report.elapsedMs / 1000,
          theirs: seed,
        },
      ],
      notes: [
        `find-vip of a /24 with 40 hosts: ${(small.report.elapsedMs / 1000).toFixed(1)} s (${small.report.vantages[0]?.methods.join(', ') ?? ''}), ${Math.round(small.peakMebibytes)} MiB at most`,
        await largeNote(),
      ],
    }
  } finally {
    await lab.remove()
  }
}

async function largeNote(): Promise<string> {
  const lab = await createSegmentLab({
    network: largeNetwork,
    hosts: [{ kind: 'answers', address: '10.20.0.1' }],
    seeker: { address: '10.20.0.5' },
  })
  try {
    const some = await look(lab, [largeNetwork, '--count', '5'])
    const all = await look(lab, [largeNetwork, '--count', '200'])
    const text = ({ report, peakMebibytes }: Look) =>
      `${(report.elapsedMs / 1000).toFixed(1)} s for ${report.asked.addresses} of ${report.asked.of} addresses, ${Math.round(peakMebibytes)} MiB at most`
    return `find-vip of a /20: 5 addresses in ${text(some)}; 200 addresses in ${text(all)}`
  } finally {
    await lab.remove()
  }
}

interface Look {
  readonly report: Awaited<ReturnType<typeof findVip>>
  readonly peakMebibytes: number
}

async function look(lab: SegmentLab, args: readonly string[]): Promise<Look> {
  const peakFile = join(lab.folder, `peak-${args.join('-').replaceAll(/[^\w-]/gu, '_')}`)
  const report = await findVip(lab, args, {
    env: { LANDFALL_PEAK_FILE: peakFile, NODE_OPTIONS: `--import=${peakReporter}` },
  })
  const written = (await readdir(lab.folder)).filter((name) => name.startsWith(basename(peakFile)))
  const peaks = await Promise.all(written.map((name) => readFile(join(lab.folder, name), 'utf8')))
  return { report, peakMebibytes: Math.max(...peaks.map(Number)) }
}

async function secondsOf(lab: SegmentLab, args: readonly string[]): Promise<number> {
  const begin = performance.now()
  await lab.run(lab.seekerNamespace, 'nmap', args, { timeoutMilliseconds: 300_000 })
  return (performance.now() - begin) / 1000
}

function fortyHosts(): HostSpec[] {
  return Array.from({ length: 40 }, (_, index) => ({
    kind: index % 2 === 0 ? 'answers' : 'drops',
    address: `10.10.200.${(index + 1) * 6}`,
  }))
}
