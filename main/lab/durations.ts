const second = 1000
const minute = 60 * second
const hour = 60 * minute

/**
 * How long things take in the lab, in simulated milliseconds. Figures of palette.md §4.2, so a rehearsal shows the
 * real proportions. `durationFactor` of a scenario multiplies these.
 */
export const waitingDurations = {
  /** Powered on until the operating system is on the disk (documented: at least 15 minutes). */
  install: 15 * minute,
  /** Reboot until the network is up. */
  boot: 2 * minute,
  /** First start of the Local UI, which unpacks the embedded content. */
  localUiFirstStart: 4 * minute,
  /** Every later start of the Local UI. */
  localUiRestart: 30 * second,
  /** Services restart after a change of proxy or CA certificates. */
  hostConfiguration: 20 * second,
  /** A NIC is `applying`. */
  networkApply: 5 * second,
  /** User-data is written and the host restarts with it (documented: 10 to 15 minutes including the reboot). */
  userData: 8 * minute,
  linkPending: 4 * second,
  link: 20 * second,
  contentSync: 5 * minute,
  /** After the last byte of an upload. */
  contentUnpack: 2 * minute,
  /** POST cluster until Running (documented: 20 to 30 minutes). */
  deploy: 25 * minute,
  /** While a node restarts during the deployment and answers "temporarily unavailable" afterwards. */
  deployRestart: 3 * minute,
  /** The page of the system console answers, its API does not yet. */
  consoleApi: 10 * minute,
  registrySync: 1 * minute,
  logs: 1 * minute,
} as const

/** Times that belong to the protocol; a faster rehearsal must not bend them. */
export const protocolDurations = {
  linkToken: 2 * minute,
  loginLock: 15 * minute,
  session: 2 * hour,
  extendedSession: 24 * hour,
  consoleSession: 4 * hour,
  firstLoginDelay: 1 * second,
} as const

/** Of nodes that are there already: long enough to be waited for, and no longer. */
export const installedDurations = {
  install: second,
  boot: second,
  localUiFirstStart: second,
} as const

export type WaitingDuration = keyof typeof waitingDurations
export type ProtocolDuration = keyof typeof protocolDurations
export type Durations = Record<WaitingDuration | ProtocolDuration, number>

export const durationNames = [...Object.keys(waitingDurations), ...Object.keys(protocolDurations)] as [
  WaitingDuration | ProtocolDuration,
  ...(WaitingDuration | ProtocolDuration)[],
]

/** The table with a scenario's overrides and factor applied. An explicit override is not multiplied. */
export function resolveDurations(
  overrides: Partial<Record<WaitingDuration | ProtocolDuration, number | undefined>>,
  factor: number,
): Durations {
  const durations: Record<string, number> = { ...protocolDurations }
  for (const [name, milliseconds] of Object.entries(waitingDurations)) durations[name] = milliseconds * factor
  for (const [name, milliseconds] of Object.entries(overrides)) {
    if (milliseconds !== undefined) durations[name] = milliseconds
  }
  return durations as Durations
}

const units: Record<string, number> = { ms: 1, s: second, m: minute, h: hour }

/** `90s`, `5m`, `1h30m`, `250ms`, or a number of seconds. `null` when it is none of these. */
export function parseDuration(text: string | number): number | null {
  if (typeof text === 'number') return Number.isFinite(text) && text >= 0 ? text * second : null
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return null
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (units[unit ?? ''] ?? 0)
  }
  return total
}
