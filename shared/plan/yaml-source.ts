import { isAlias, isMap, isPair, isScalar, isSeq, parseDocument, type Document, type Node } from 'yaml'
import type { PlanPath } from './problem.ts'

/** A YAML text that knows where its values stand. */
export interface YamlSource {
  /** The text as plain JavaScript values; only meaningful when there are no `faults` that are fatal. */
  value: unknown
  faults: YamlFault[]
  /** Offset of the value at `path`, or of the nearest mapping or list above it that exists. */
  locateValue(path: PlanPath): number
  /** Offset of the key at the end of `path`; as `locateValue` where there is none. */
  locateKey(path: PlanPath): number
  /** True when the text has something at `path`, be it wrong. */
  has: (path: PlanPath) => boolean
  /** Paths of all values that are neither mapping nor list, and of empty mappings and lists. */
  leaves(): PlanPath[]
  position(offset: number): { line: number; column: number }
}

export interface YamlFault {
  code: string
  severity: 'error' | 'warning'
  /** Into the text, UTF-16 code units. */
  offset: number
  message: string
  fix: string
  /** True when nothing that was read below can be trusted. */
  isFatal: boolean
}

/** How much a plan may reuse by aliases; far more than a person writes, far less than an alias bomb needs. */
const MAX_ALIAS_COUNT = 200

interface FaultText {
  code: string
  message: string
  fix: string
  isFatal?: boolean
}

const SYNTAX: FaultText = {
  code: 'yaml.syntax',
  message: 'The text is not valid YAML here.',
  fix: 'Look for a missing colon, quote, bracket or a line that is not indented like its neighbours.',
}

/** The parser's own messages may quote the text, and the text may hold a secret that somebody put there: own words only. */
const FAULT_TEXTS: Record<string, FaultText> = {
  TAB_AS_INDENT: {
    code: 'yaml.tab',
    message: 'The line is indented with a tab.',
    fix: 'Indent with spaces; YAML does not allow tabs.',
  },
  DUPLICATE_KEY: {
    code: 'yaml.duplicate-key',
    message: 'The same key stands twice in this mapping.',
    fix: 'Remove one of the two, or rename it.',
    isFatal: false,
  },
  MULTIPLE_DOCS: {
    code: 'yaml.documents',
    message: 'The file holds several YAML documents.',
    fix: 'Keep one plan a file: remove everything from this "---" on, or move it into its own file.',
    isFatal: false,
  },
  BAD_INDENT: {
    code: 'yaml.syntax',
    message: 'The indentation is wrong here, or a bracket is not closed.',
    fix: 'Give all keys of one mapping the same number of spaces, and close every [ and {.',
  },
  MISSING_CHAR: {
    code: 'yaml.syntax',
    message: 'A closing quote or bracket, a comma or a colon is missing here.',
    fix: 'Close every quote and bracket; put ": " between key and value.',
  },
  BAD_ALIAS: {
    code: 'yaml.alias',
    message: 'This alias (*name) cannot be used.',
    fix: 'Define the anchor (&name) above it, or write the value out.',
  },
  BAD_SCALAR_START: {
    code: 'yaml.syntax',
    message: 'A plain value cannot start with this character.',
    fix: 'Put the value into single quotes.',
  },
  BLOCK_AS_IMPLICIT_KEY: {
    code: 'yaml.syntax',
    message: 'There are two keys on one line, or a value with ": " in it.',
    fix: 'Put each key on its own line, or put the value into quotes.',
  },
  RESOURCE_EXHAUSTION: {
    code: 'yaml.too-deep',
    message: 'The text is nested too deeply.',
    fix: 'A plan has at most eight levels; remove the surplus brackets, dashes or indentation.',
  },
  NON_STRING_KEY: {
    code: 'yaml.key',
    message: 'A key is not a plain text.',
    fix: 'Write a name before the colon; put it into quotes when it looks like a number.',
  },
}

/** Reads YAML text. Never throws for what a text may hold. */
export function readYaml(text: string): YamlSource {
  let document: Document.Parsed | undefined
  const faults: YamlFault[] = []
  try {
    document = parseDocument(text, {
      prettyErrors: false,
      uniqueKeys: true,
      stringKeys: true,
      logLevel: 'error',
    })
  } catch (thrown) {
    // The parser recurses; what it cannot hold on its stack is no plan.
    if (!(thrown instanceof RangeError)) throw thrown
    faults.push(fault('RESOURCE_EXHAUSTION', 0))
  }
  for (const error of document?.errors ?? []) faults.push(fault(error.code, error.pos[0]))
  for (const warning of document?.warnings ?? []) {
    faults.push({
      code: 'yaml.tag',
      severity: 'error',
      offset: warning.pos[0],
      message: 'The plan format has no YAML tags (!name) and no such directive.',
      fix: 'Remove it, or put the value into quotes.',
      isFatal: false,
    })
  }
  let value: unknown = null
  if (document !== undefined && !faults.some((known) => known.isFatal)) {
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIAS_COUNT })
    } catch (thrown) {
      // yaml reports "excessive alias count" and unresolved aliases this way.
      if (!(thrown instanceof ReferenceError) && !(thrown instanceof RangeError)) throw thrown
      faults.push({
        code: 'yaml.aliases',
        severity: 'error',
        offset: 0,
        message: 'The text repeats itself through aliases (*name) more often than a plan may.',
        fix: 'Write the values out instead of using anchors and aliases.',
        isFatal: true,
      })
    }
  }
  return { value, faults, ...places(text, document) }
}

function fault(parserCode: string, offset: number): YamlFault {
  const { isFatal = true, ...texts } = FAULT_TEXTS[parserCode] ?? SYNTAX
  return { ...texts, severity: 'error', offset, isFatal }
}

interface Place {
  value: Node | null
  key: Node | null
}

function places(text: string, document: Document.Parsed | undefined) {
  const lineStarts = [0]
  for (let index = text.indexOf('\n'); index !== -1; index = text.indexOf('\n', index + 1))
    lineStarts.push(index + 1)

  const resolve = (node: Node | null): Node | null =>
    isAlias(node) && document !== undefined ? (node.resolve(document) ?? null) : node

  function step(node: Node | null, part: string | number): Place | undefined {
    const collection = resolve(node)
    if (isMap(collection)) {
      // Of duplicate keys the last one counts, as in `value`.
      const pair = collection.items.findLast(
        (item) => isScalar(item.key) && String(item.key.value) === String(part),
      )
      return pair === undefined ? undefined : { key: pair.key as Node, value: pair.value as Node | null }
    }
    if (isSeq(collection) && typeof part === 'number' && part < collection.items.length) {
      const item = collection.items[part]
      return isPair(item) ? { key: null, value: null } : { key: null, value: (item ?? null) as Node | null }
    }
    return undefined
  }

  /** The place at `path`, or how far one gets towards it. */
  function walk(path: PlanPath): { place: Place; isComplete: boolean } {
    let place: Place = { key: null, value: document?.contents ?? null }
    for (const part of path) {
      const next = step(place.value, part)
      if (next === undefined) return { place, isComplete: false }
      place = next
    }
    return { place, isComplete: true }
  }

  const startOf = (node: Node | null): number | undefined => node?.range?.[0] ?? undefined

  function leavesOf(node: Node | null, path: PlanPath): PlanPath[] {
    const isThere = isMap(node) ? node.items.length > 0 : isSeq(node) && node.items.length > 0
    if (!isThere) return [path]
    if (isMap(node)) {
      return node.items.flatMap((pair) =>
        leavesOf(resolve(pair.value as Node | null), [...path, String(pair.key)]),
      )
    }
    return isSeq(node)
      ? node.items.flatMap((item, index) => leavesOf(resolve(item as Node), [...path, index]))
      : []
  }

  return {
    locateValue(path: PlanPath): number {
      const { place } = walk(path)
      return startOf(place.value) ?? startOf(place.key) ?? 0
    },
    locateKey(path: PlanPath): number {
      const { place, isComplete } = walk(path)
      return (isComplete ? startOf(place.key) : undefined) ?? startOf(place.value) ?? startOf(place.key) ?? 0
    },
    has: (path: PlanPath): boolean => walk(path).isComplete,
    leaves: (): PlanPath[] => leavesOf(resolve(document?.contents ?? null), []),
    position(offset: number) {
      const place = Math.max(0, Math.min(offset, text.length))
      let low = 0
      let high = lineStarts.length - 1
      while (low < high) {
        const middle = Math.ceil((low + high) / 2)
        if ((lineStarts[middle] ?? 0) <= place) low = middle
        else high = middle - 1
      }
      return { line: low + 1, column: place - (lineStarts[low] ?? 0) + 1 }
    },
  }
}
