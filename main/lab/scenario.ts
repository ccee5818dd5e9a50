import { LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { macAddressSchema } from '../../shared/addresses/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import { variantSchema } from '../../shared/plan/index.ts'
import { durationNames, parseDuration } from './durations.ts'
import { machineSchema } from './machine.ts'
import { networkSchema } from './network-conditions.ts'

const duration = z.union([z.string(), z.number()]).transform((value, context) => {
  const milliseconds = parseDuration(value)
  if (milliseconds === null) {
    context.addIssue({ code: 'custom', message: 'write a duration such as 90s, 5m or 1h30m' })
    return z.NEVER
  }
  return milliseconds
})

export const labEventNames = [
  'node-ready',
  'node-password-changed',
  'node-linked',
  'content-synced',
  'upload-started',
  'upload-finished',
  'cluster-accepted',
  'cluster-running',
  'console-page',
  'console-api',
] as const
export type LabEventName = (typeof labEventNames)[number]

const when = {
  /** Name of the node as in the plan; absent: every node. */
  node: z.string().min(1).optional(),
  /** Since the lab was started. */
  at: duration.optional(),
  /** Since something happened (on `node`, when that is given). */
  after: z.strictObject({ event: z.enum(labEventNames), delay: duration.default(0) }).optional(),
  /** On the nth request that fits (and, with `times` or `for`, on the following ones). `*` stands for anything. */
  onRequest: z
    .strictObject({
      service: z.enum(['local-api', 'console']).default('local-api'),
      method: z.string().default('*'),
      path: z.string().default('*'),
      nth: z.int().min(1).default(1),
    })
    .optional(),
  /** How long it lasts; absent: for ever. */
  for: duration.optional(),
}

/** How many requests are hit. */
const times = z.int().min(1).default(1)
const fraction = z.number().gt(0).lt(1)

export const faultSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('unreachable'), ...when }),
  z.strictObject({ kind: z.literal('reboot'), ...when }),
  z.strictObject({ kind: z.literal('certificate-changed'), ...when }),
  z.strictObject({ kind: z.literal('host-key-changed'), ...when }),
  z.strictObject({
    kind: z.literal('http-error'),
    ...when,
    status: z.int().min(400).max(599).default(503),
    times,
  }),
  z.strictObject({
    kind: z.literal('garbage'),
    ...when,
    body: z.enum(['html', 'broken-json', 'truncated']).default('html'),
    times,
  }),
  /** `by` is real time: it is there to meet the client's time-outs, which are real time. */
  z.strictObject({ kind: z.literal('slow'), ...when, by: duration, times }),
  z.strictObject({ kind: z.literal('wrong-initial-password'), node: when.node }),
  z.strictObject({ kind: z.literal('already-in-cluster'), node: when.node }),
  /** The next `times` tokens are dead when they are handed out. */
  z.strictObject({ kind: z.literal('link-token-expired'), ...when, times }),
  z.strictObject({ kind: z.literal('sync-stalls'), ...when }),
  z.strictObject({
    kind: z.literal('deploy-fails'),
    reason: z.string().min(1).default('VIP address is already assigned to a device on the network'),
    fraction: fraction.default(0.4),
  }),
  z.strictObject({ kind: z.literal('deploy-stalls'), fraction: fraction.default(0.5), for: when.for }),
  z.strictObject({ kind: z.literal('disk-missing'), node: when.node }),
  z.strictObject({
    kind: z.literal('small-disk'),
    node: when.node,
    disk: z.enum(['system', 'storage']).default('storage'),
    gigabytes: z.int().min(1).default(100),
  }),
  z.strictObject({ kind: z.literal('duplicate-host-name'), node: z.string().min(1), of: z.string().min(1) }),
  z.strictObject({ kind: z.literal('upload-cut'), node: when.node, fraction: fraction.default(0.6), times }),
  z.strictObject({ kind: z.literal('post-lost-answer'), times }),
  z.strictObject({ kind: z.literal('console-late'), by: duration }),
])
export type Fault = z.infer<typeof faultSchema>
/** As it is written: durations are text, defaults may be left out. */
export type FaultInput = z.input<typeof faultSchema>
export type FaultKind = Fault['kind']

const scenarioSchema = z.strictObject({
  name: z.string().min(1),
  description: z.string().default(''),
  variant: variantSchema.optional(),
  durations: z.partialRecord(z.enum(durationNames), duration).default({}),
  durationFactor: z.number().positive().default(1),
  agent: z
    .strictObject({
      /** `false`: an agent of before the `/network/…` paths. */
      networkApi: z.boolean().default(true),
      version: z.string().min(1).optional(),
      /** `false`: the image has no public key for content signatures. */
      signingKey: z.boolean().optional(),
    })
    .prefault({}),
  ssh: z
    .strictObject({
      passwordLogin: z.boolean().default(true),
      /** `true`: sudo asks for the user's password. */
      sudoPassword: z.boolean().default(false),
    })
    .prefault({}),
  /** Machines on the node network that are not in the plan; two with one address are a collision. */
  extraHosts: z
    .array(
      z.strictObject({
        address: z.ipv4(),
        mac: macAddressSchema,
        /** `drops`: answers ARP and nothing else. */
        kind: z.enum(['answers', 'drops']).default('answers'),
      }),
    )
    .default([]),
  /** Programs that the image of the nodes has. */
  tools: z.strictObject({ arping: z.boolean().default(true) }).prefault({}),
  /** Machines that are not like the others, by the name of their node in the plan. */
  machines: z.record(z.string(), machineSchema).default({}),
  /** What is wrong with the network. */
  network: networkSchema.prefault({}),
  faults: z.array(faultSchema).default([]),
})
export type Scenario = z.infer<typeof scenarioSchema>

export const quietScenario: Scenario = scenarioSchema.parse({ name: 'quiet' })

/**
 * Reads a scenario file. Throws one `AppError` (`SCENARIO_INVALID`) that lists every problem with its place.
 */
export function readScenario(yamlText: string, fileName: string): Scenario {
  const lines = new LineCounter()
  const document = parseDocument(yamlText, { lineCounter: lines })
  const problems = document.errors.map((error) => {
    const place = lines.linePos(error.pos[0])
    return `line ${place.line}: ${error.message.split('\n')[0] ?? ''}`
  })
  if (problems.length === 0) {
    const parsed = scenarioSchema.safeParse(document.toJS())
    if (parsed.success) return parsed.data
    for (const issue of parsed.error.issues) {
      const place = issue.path.map(String).join('.')
      problems.push(`${place === '' ? 'document' : place}: ${issue.message}`)
    }
  }
  throw new AppError({
    code: 'SCENARIO_INVALID',
    title: `The scenario ${fileName} cannot be used.`,
    detail: problems.join('\n'),
    remedies: ['Correct the places that are named; docs/practice-lab.md describes every kind of fault.'],
  })
}
