import { printableStart } from '../../network/printable.ts'

/**
 * One fact of a node: either it was read, or it is said why not. Nothing stands in for what was not read, so that no check
 * can pass on it.
 */
export type Fact<Value> =
  | {
      readonly kind: 'read'
      readonly value: Value
      /** The command or the file that told it, for the evidence of a check. */
      readonly source: string
    }
  | {
      readonly kind: 'unread'
      /** A sentence for the operator, without a full stop at its end. */
      readonly reason: string
      readonly source: string
    }

export function read<Value>(value: Value, source: string): Fact<Value> {
  return { kind: 'read', value, source }
}

/** Fits where any fact is expected. */
export function unread(reason: string, source: string): Fact<never> {
  return { kind: 'unread', reason, source }
}

/** `undefined`: the text was there and did not tell it. */
export function readIfTold<Value>(value: Value | undefined, source: string, reason: string): Fact<Value> {
  return value === undefined ? unread(reason, source) : read(value, source)
}

/** Goes on with the value of a fact; one that was not read stays so. */
export function mapFact<From, To>(fact: Fact<From>, change: (value: From) => To): Fact<To> {
  return fact.kind === 'read' ? read(change(fact.value), fact.source) : fact
}

export function valueOf<Value>(fact: Fact<Value>): Value | undefined {
  return fact.kind === 'read' ? fact.value : undefined
}

/** The first of several ways to learn the same that worked; else the reason of the first, which is the best way. */
export function firstRead<Value>(first: Fact<Value>, ...others: readonly Fact<Value>[]): Fact<Value> {
  return [first, ...others].find(({ kind }) => kind === 'read') ?? first
}

/** Reads the text of a fact; `undefined` from the parser: it is something else than it should be. */
export function parseFact<Value>(
  fact: Fact<string>,
  parse: (text: string) => Value | undefined,
): Fact<Value> {
  if (fact.kind === 'unread') return fact
  const value = parse(fact.value)
  if (value !== undefined) return read(value, fact.source)
  const start = printableStart(fact.value, 80)
  return unread(
    start === '' ? 'it answered nothing' : `an answer that cannot be understood: ${start}`,
    fact.source,
  )
}
