import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { z } from 'zod'
import { parseAddress } from '../../../shared/plan/ipv4.ts'
import { printableStart } from '../printable.ts'

/** What nmap says about one address. Field names are those of its XML (nmap.dtd). */
export interface NmapHost {
  /** IPv4, dotted decimal. */
  readonly address: string
  /** Who answered by ARP; lower case with colons. `undefined`: nobody, or not by ARP. */
  readonly mac: string | undefined
  /** `up` alone proves nothing: with `-Pn`, or for an own address, nmap asks nobody. */
  readonly state: 'up' | 'down' | 'unknown' | 'skipped'
  /** Why nmap thinks so: `arp-response`, `conn-refused`, `no-response`, `user-set`, … */
  readonly reason: string
}

/** A stage of the scan that came to its end. Written with `-v` only. */
export interface NmapTask {
  /** `ARP Ping Scan`: by ARP requests · `Ping Scan`: by packets or connections to the addresses. */
  readonly name: string
  /** How many addresses were asked; `undefined` where nmap does not say. */
  readonly hosts: number | undefined
}

export type NmapReport =
  /** The scan came to its end. How often each address was asked nmap does not tell. */
  | {
      readonly kind: 'finished'
      readonly hosts: readonly NmapHost[]
      /** Addresses that were not asked, each with nmap's word for why. */
      readonly skipped: ReadonlyMap<string, string>
      readonly tasks: readonly NmapTask[]
      /** `undefined` where nmap does not say. */
      readonly elapsedSeconds: number | undefined
    }
  /** nmap gave up, and says why; printable. */
  | { readonly kind: 'failed'; readonly message: string }
  /** `empty`: nothing at all · `truncated`: it ends half-way · `rubbish`: it is something else. `detail` is printable. */
  | {
      readonly kind: 'unreadable'
      readonly what: 'empty' | 'truncated' | 'rubbish'
      readonly detail: string
    }

/** Elements that may occur several times. */
const lists = new Set(['host', 'address', 'taskend', 'target'])

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  // The few texts with references are decoded below; nothing that a document declares is ever expanded.
  processEntities: false,
  maxNestedTags: 20,
  isArray: (name) => lists.has(name),
})

/** An element without anything in it is an empty text for the parser. */
const element = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.preprocess((value) => (value === '' ? {} : value), z.object(shape))

const documentSchema = z.object({
  nmaprun: element({
    host: z
      .array(
        z.object({
          status: z.object({ state: z.enum(['up', 'down', 'unknown', 'skipped']), reason: z.string() }),
          address: z.array(z.object({ addr: z.string(), addrtype: z.string() })).default([]),
        }),
      )
      .default([]),
    target: z
      .array(
        z.object({ specification: z.string(), status: z.string().optional(), reason: z.string().optional() }),
      )
      .default([]),
    taskend: z.array(z.object({ task: z.string(), extrainfo: z.string().optional() })).default([]),
    runstats: z.object({
      finished: z.object({
        exit: z.enum(['success', 'error']).optional(),
        errormsg: z.string().optional(),
        elapsed: z.string().optional(),
      }),
    }),
  }),
})

/**
 * Reads what `nmap -oX -` wrote. Never throws: whatever is not the whole report of nmap is `unreadable`, because half a report
 * looks as if the other addresses had been silent.
 */
export function parseNmapXml(xml: string): NmapReport {
  const text = xml.trim()
  if (text === '') return { kind: 'unreadable', what: 'empty', detail: 'nothing' }
  const rubbish = { kind: 'unreadable', what: 'rubbish', detail: printableStart(text, 80) } as const
  if (declaresSomething(text)) return rubbish
  if (!/^<(\?xml|!DOCTYPE|nmaprun)/u.test(text)) return rubbish
  if (!text.endsWith('</nmaprun>')) {
    return {
      kind: 'unreadable',
      what: 'truncated',
      detail: `it ends with: ${printableStart(text.slice(-60), 60)}`,
    }
  }

  const document = documentSchema.safeParse(readXml(text))
  if (!document.success) return rubbish
  const { host, target, taskend, runstats } = document.data.nmaprun
  const { exit, errormsg, elapsed } = runstats.finished
  if (exit === 'error') return { kind: 'failed', message: messageText(errormsg ?? '') }

  const hosts = host.map(({ status, address }) => ({
    address: address.find(({ addrtype }) => addrtype === 'ipv4')?.addr ?? '',
    mac: macAddress(address.find(({ addrtype }) => addrtype === 'mac')?.addr),
    state: status.state,
    reason: messageText(status.reason),
  }))
  if (hosts.some(({ address }) => parseAddress(address) === undefined)) return rubbish
  return {
    kind: 'finished',
    hosts,
    skipped: new Map(
      target
        .filter(({ status }) => status === 'skipped')
        .map(({ specification, reason }) => [specification, messageText(reason ?? 'skipped')]),
    ),
    tasks: taskend.map(({ task, extrainfo }) => ({ name: task, hosts: totalHosts(extrainfo) })),
    elapsedSeconds: elapsed !== undefined && /^\d+(\.\d+)?$/u.test(elapsed) ? Number(elapsed) : undefined,
  }
}

/** nmap names its root element in the DOCTYPE and declares nothing there; entities are how XML grows without end. */
function declaresSomething(text: string): boolean {
  const first = text.indexOf('<!DOCTYPE')
  if (first === -1) return text.includes('<!ENTITY')
  return !text.startsWith('<!DOCTYPE nmaprun>', first) || text.includes('<!DOCTYPE', first + 1)
}

/** `undefined` when it is no well-formed XML. */
function readXml(text: string): unknown {
  try {
    // The parser alone forgives what is not closed.
    return XMLValidator.validate(text) === true ? parser.parse(text) : undefined
  } catch {
    return undefined
  }
}

function macAddress(text: string | undefined): string | undefined {
  const mac = text?.toLowerCase()
  return mac !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/u.test(mac) ? mac : undefined
}

/** `253 total hosts`. */
function totalHosts(extraInfo: string | undefined): number | undefined {
  const digits = /^(\d{1,9}) total hosts$/u.exec(extraInfo ?? '')?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** An attribute for messages: character references decoded, printable. */
function messageText(attribute: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  const decoded = attribute.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,4}));/giu,
    (whole, ...found) => {
      const [decimal, hexadecimal, name] = found as (string | undefined)[]
      if (name !== undefined) return named[name] ?? whole
      const code = decimal === undefined ? parseInt(hexadecimal ?? '', 16) : Number(decimal)
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole
    },
  )
  return printableStart(decoded, 200)
}
