import type { CheckId, CheckSeverity, Finding } from '../../../shared/checks/index.ts'
import type { Fact, Merged } from '../../appliance/facts/index.ts'

/** What came of asking one node, or all of them, one question. */
export interface Verdict {
  readonly state: Finding['state']
  readonly measured: string
  /** The command, file or request that told it. */
  readonly evidence: string
  readonly severity?: CheckSeverity
  /** Where the usual one does not fit what was found. */
  readonly remedy?: string
}

/** A check as data: `Of` is one node, or all of them. Pure. */
export interface Question<Of> {
  readonly id: CheckId
  readonly threshold: (of: Of) => string
  readonly remedy: (of: Of) => string
  readonly ask: (of: Of) => Verdict
}

export function findingOf<Of>(question: Question<Of>, of: Of, target: string): Finding {
  const { severity, remedy, ...verdict } = question.ask(of)
  return {
    id: question.id,
    target,
    ...verdict,
    threshold: question.threshold(of),
    remedy: remedy ?? question.remedy(of),
    severity,
  }
}

export function unknown(reason: string, evidence: string): Verdict {
  return { state: 'could-not-run', measured: reason, evidence }
}

export function verdict(isGood: boolean, measured: string, evidence: string): Verdict {
  return { state: isGood ? 'pass' : 'fail', measured, evidence }
}

/** Judges a fact, if it was read. */
export function onFact<Value>(fact: Fact<Value>, judge: (value: Value, source: string) => Verdict): Verdict {
  return fact.kind === 'read'
    ? judge(fact.value, fact.source)
    : unknown(`unknown: ${fact.reason}`, fact.source)
}

const bothWays = 'GET /v1/edge-mgmt/edgehosts/current; SSH'

/**
 * Judges what Local UI and operating system tell. Where they contradict each other nobody is believed: it is a verdict only
 * when it would be the same for both.
 */
export function onMerged<Value>(
  merged: Merged<Value>,
  isGood: (value: Value) => boolean,
  inWords: (value: Value) => string,
): Verdict {
  switch (merged.kind) {
    case 'unread':
      return unknown(`unknown: ${merged.reason}`, bothWays)
    case 'told':
      return verdict(isGood(merged.value), inWords(merged.value), merged.source)
    case 'agreed':
      return verdict(isGood(merged.value), inWords(merged.value), merged.sources.join('; '))
    case 'disagreement': {
      const { api, ssh, sources } = merged
      const measured = `the Local UI says ${inWords(api)}, the operating system says ${inWords(ssh)}`
      const evidence = sources.join('; ')
      return isGood(api) === isGood(ssh)
        ? verdict(isGood(api), measured, evidence)
        : unknown(measured, evidence)
    }
  }
}

/** Every value that either of them tells. */
export function valuesOf<Value>(merged: Merged<Value>): Value[] {
  switch (merged.kind) {
    case 'unread':
      return []
    case 'told':
    case 'agreed':
      return [merged.value]
    case 'disagreement':
      return [merged.api, merged.ssh]
  }
}

/** A list that a person can still read. */
export function listed(words: readonly string[], separator = ' ', most = 16): string {
  const shown = words.slice(0, most).join(separator)
  return words.length > most ? `${shown} and ${words.length - most} more` : shown
}
