import { printableStart } from '../../network/printable.ts'
import { read, unread, type Fact } from './fact.ts'
import { isTimeoutCode, type Report, type ReportPart, type ReportSection } from './report.ts'
import { sections, type SectionName } from './sections.ts'

/** Answers of a node, each with its source, or with the reason why it is not there. */
export interface ReportReader {
  /** What the section printed before its first part. */
  output(name: SectionName, accepted?: Accepted): Fact<string>
  /** One file of a section. */
  file(name: SectionName, path: string): Fact<string>
  /** All parts of a section that ended well. */
  parts(name: SectionName): Fact<readonly ReportPart[]>
  /** The parts that are there, also when the rest of the section was lost. */
  partsSoFar(name: SectionName): readonly ReportPart[]
  /** Why a section has no such part. `ifComplete`: the reason when nothing is wrong with the section. */
  whyNot(name: SectionName, ifComplete: string): string
}

/** Exit codes that are no failure; default: only 0. */
interface Accepted {
  readonly exitCodes?: readonly number[]
}

/** @param interruption why the report ends before its end; for what was not reached */
export function createReportReader(report: Report, interruption: string): ReportReader {
  const section = (name: SectionName, { exitCodes = [0] }: Accepted = {}): Fact<ReportSection> => {
    const { source } = sections[name]
    const found = report.sections.get(name)
    const reason = found === undefined ? interruption : reasonOf(name, found, exitCodes)
    if (found === undefined || reason !== undefined) return unread(reason ?? interruption, source)
    return read(found, source)
  }

  const reasonOf = (
    name: SectionName,
    { end, said }: ReportSection,
    exitCodes: readonly number[],
  ): string | undefined => {
    switch (end.kind) {
      case 'complete':
        if (exitCodes.includes(end.exitCode)) return undefined
        if (isTimeoutCode(end.exitCode)) return tooSlow(name)
        return said === '' ? `it ended with exit code ${end.exitCode}` : printableStart(said, 200)
      case 'missing':
        return `there is no program ${printableStart(end.program, 40)} on the node`
      case 'skipped':
        return 'the time for this node was up before it could be asked'
      case 'stuck':
        return tooSlow(name)
      case 'broken':
        return `it printed more than ${sections[name].bytes} bytes, or was ended by the node`
      case 'cut':
        return interruption
    }
  }

  return {
    output: (name, accepted) => {
      const found = section(name, accepted)
      return found.kind === 'read' ? read(found.value.text, found.source) : found
    },
    parts: (name) => {
      const found = section(name)
      return found.kind === 'read' ? read(found.value.parts, found.source) : found
    },
    partsSoFar: (name) => {
      const found = report.sections.get(name)
      if (found === undefined) return []
      // The end of the last one may be missing.
      return found.end.kind === 'complete' ? found.parts : found.parts.slice(0, -1)
    },
    file: (name, path) => {
      const found = section(name)
      if (found.kind === 'unread') return unread(found.reason, path)
      const part = found.value.parts.find((one) => one.name === path)
      switch (part?.kind) {
        case 'file':
          return read(part.text, path)
        case 'denied':
          return unread('only root may read it', path)
        case 'absent':
          return unread('there is no such file', path)
        default:
          return unread('the node did not tell', path)
      }
    },
    whyNot: (name, ifComplete) => {
      const found = section(name)
      return found.kind === 'unread' ? found.reason : ifComplete
    },
  }
}

function tooSlow(name: SectionName): string {
  return `it did not end within ${sections[name].seconds} s`
}

export function partOf(parts: readonly ReportPart[], kind: string, name: string): ReportPart | undefined {
  return parts.find((part) => part.kind === kind && part.name === name)
}

export function folderFact(
  parts: Fact<readonly ReportPart[]>,
  name: string,
  source: string,
): Fact<readonly string[]> {
  if (parts.kind === 'unread') return unread(parts.reason, source)
  const part = partOf(parts.value, 'folder', name)
  return part === undefined
    ? unread('there is no such folder', source)
    : read(
        part.text.split('\n').filter((line) => line !== ''),
        source,
      )
}
