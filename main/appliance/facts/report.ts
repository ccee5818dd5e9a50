import { isSectionName, type SectionName } from './sections.ts'

/** A file, a disk, an interface, … inside of a section. */
export interface ReportPart {
  readonly kind: string
  readonly name: string
  /** Exactly what was printed. */
  readonly text: string
}

/** How the collection of a section ended. */
export type SectionEnd =
  | { readonly kind: 'complete'; readonly exitCode: number }
  | { readonly kind: 'missing'; readonly program: string }
  /** The time of the whole was up before. */
  | { readonly kind: 'skipped' }
  /** It did not end, and was left behind. */
  | { readonly kind: 'stuck' }
  /** It printed more than it may, or its shell was killed. */
  | { readonly kind: 'broken' }
  /** The report ends in it. */
  | { readonly kind: 'cut' }

export interface ReportSection {
  readonly end: SectionEnd
  /** What was printed before the first part. */
  readonly text: string
  readonly parts: readonly ReportPart[]
  /** First lines of standard error. */
  readonly said: string
  /** By the node's clock, in steps of 10 ms; `undefined` when it does not tell. */
  readonly milliseconds: number | undefined
}

/** What a node answered to the script. */
export interface Report {
  readonly hasStarted: boolean
  readonly isComplete: boolean
  /** Sections that are not here were not reached. */
  readonly sections: ReadonlyMap<SectionName, ReportSection>
}

/** Exit codes of `timeout` for one that had to be ended, and of a shell whose last program was killed. */
const timeoutCodes = new Set([124, 137, 143])

export function isTimeoutCode(exitCode: number): boolean {
  return timeoutCodes.has(exitCode)
}

interface Draft {
  begun: number | undefined
  ended: number | undefined
  text: string
  parts: { kind: string; name: string; text: string }[]
  said: string[]
  exitCode: number | undefined
  missing: string | undefined
  isDone: boolean
  hasEnded: boolean
  guardCode: number | undefined
}

/**
 * Reads what the script of `collect-script.ts` printed. Never throws: what is not between two frames of this mark is noise
 * of the login, what comes after a cut is not there.
 */
export function readReport(mark: string, text: string): Report {
  const sections = new Map<SectionName, ReportSection>()
  let hasStarted = false
  let isComplete = false
  let name: SectionName | undefined
  let draft: Draft | undefined
  let target: 'text' | 'said' | 'none' = 'none'

  const close = () => {
    if (name !== undefined && draft !== undefined && !sections.has(name)) sections.set(name, sectionOf(draft))
    name = undefined
    draft = undefined
    target = 'none'
  }

  for (const chunk of text.split(`\n${mark} `).slice(1)) {
    const lineEnd = chunk.indexOf('\n')
    // The line of a frame was cut: nobody knows what it would have said.
    if (lineEnd === -1) break
    const [verb = '', first = '', ...rest] = chunk.slice(0, lineEnd).split(' ')
    const last = rest.join(' ')
    const data = chunk.slice(lineEnd + 1)
    switch (verb) {
      case 'start':
        hasStarted = true
        break
      case 'begin':
        close()
        if (isSectionName(first)) {
          name = first
          draft = emptyDraft(numberOf(last))
          draft.text = data
          target = 'text'
        }
        break
      case 'part':
        if (draft !== undefined && target === 'text')
          draft.parts.push({ kind: first, name: last, text: data })
        break
      case 'missing':
        if (draft !== undefined) draft.missing = first
        break
      case 'said':
        target = 'said'
        draft?.said.push(data)
        break
      case 'status':
        if (draft !== undefined && target === 'said') {
          draft.exitCode = numberOf(first)
          draft.said.push(data)
        }
        break
      case 'done':
        if (draft !== undefined) draft.isDone = true
        break
      case 'guard':
        if (draft !== undefined) draft.guardCode = numberOf(first)
        target = 'none'
        break
      case 'end':
        if (draft !== undefined && first === name) {
          draft.ended = numberOf(last)
          draft.hasEnded = true
        }
        close()
        break
      case 'skipped':
        close()
        if (isSectionName(first) && !sections.has(first)) sections.set(first, skippedSection)
        break
      case 'complete':
        close()
        isComplete = true
        break
      default:
    }
  }
  // What is left had no `end`: the report was cut in it.
  close()
  return { hasStarted, isComplete, sections }
}

const skippedSection: ReportSection = {
  end: { kind: 'skipped' },
  text: '',
  parts: [],
  said: '',
  milliseconds: undefined,
}

function emptyDraft(begun: number | undefined): Draft {
  return {
    begun,
    ended: undefined,
    text: '',
    parts: [],
    said: [],
    exitCode: undefined,
    missing: undefined,
    isDone: false,
    hasEnded: false,
    guardCode: undefined,
  }
}

function sectionOf(draft: Draft): ReportSection {
  const { begun, ended } = draft
  const isTimed = begun !== undefined && ended !== undefined && begun > 0 && ended >= begun
  return {
    end: endOf(draft),
    text: draft.text,
    parts: draft.parts,
    said: draft.said
      .map((text) => text.trim())
      .filter((text) => text !== '')
      .join('\n'),
    milliseconds: isTimed ? Math.round((ended - begun) * 1000) : undefined,
  }
}

function endOf(draft: Draft): SectionEnd {
  const { missing, exitCode, isDone, hasEnded, guardCode } = draft
  if (missing !== undefined) return { kind: 'missing', program: missing }
  if (isDone && exitCode !== undefined) return { kind: 'complete', exitCode }
  if (!hasEnded) return { kind: 'cut' }
  return guardCode !== undefined && isTimeoutCode(guardCode) ? { kind: 'stuck' } : { kind: 'broken' }
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,12}(\.\d{1,3})?$/u.test(text) ? Number(text) : undefined
}

/** One section of a report that is written, not read. */
export interface WrittenSection {
  readonly text?: string
  readonly parts?: readonly ReportPart[]
  readonly said?: string
  /** Default 0. */
  readonly exitCode?: number
  readonly missing?: string
}

/**
 * A report as the script prints it, for a node that has no shell: the practice lab, and tests. Sections come in the order
 * in which they are given.
 */
export function writeReport(
  mark: string,
  sections: Readonly<Partial<Record<SectionName, WrittenSection>>>,
): string {
  const frame = (words: string, data = '') => `\n${mark} ${words}\n${data}`
  const written = Object.entries(sections).map(([name, section]) => {
    const { text = '', parts = [], said = '', exitCode = 0, missing } = section
    const body =
      missing === undefined
        ? text +
          parts.map((part) => frame(`part ${part.kind} ${part.name}`, part.text)).join('') +
          frame('said', said) +
          frame(`status ${exitCode}`) +
          frame('done')
        : frame(`missing ${missing}`)
    return `${frame(`begin ${name} 1.00`)}${body}${frame('guard 0')}${frame(`end ${name} 1.01`)}`
  })
  return `${frame('start')}${written.join('')}${frame('complete')}`
}
