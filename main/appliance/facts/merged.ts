import type { Fact } from './fact.ts'

export const hostSource = 'GET /v1/edge-mgmt/edgehosts/current'
const nobody = 'neither the Local UI nor SSH tells it'

/** One fact as the Local API and the node itself (over SSH) tell it. */
export type Merged<Value> =
  /** Both tell the same; the value is the node's own, which is the more exact one. */
  | {
      readonly kind: 'agreed'
      readonly value: Value
      readonly sources: readonly [api: string, ssh: string]
    }
  /** Only one of them tells it. */
  | { readonly kind: 'told'; readonly value: Value; readonly source: string }
  /** They contradict each other. Nobody chooses: both are shown. */
  | {
      readonly kind: 'disagreement'
      readonly api: Value
      readonly ssh: Value
      readonly sources: readonly [api: string, ssh: string]
    }
  | { readonly kind: 'unread'; readonly reason: string }

/** Changes the values, not the verdict. */
export function mapMerged<From, To>(merged: Merged<From>, change: (value: From) => To): Merged<To> {
  switch (merged.kind) {
    case 'agreed':
      return { ...merged, value: change(merged.value) }
    case 'told':
      return { ...merged, value: change(merged.value) }
    case 'disagreement':
      return { ...merged, api: change(merged.api), ssh: change(merged.ssh) }
    case 'unread':
      return merged
  }
}

/** What one of both tells; `value` is `undefined` when it tells nothing. */
export interface Told<Value> {
  readonly value: Value | undefined
  readonly source: string
  readonly reason: string | undefined
}

export const nothing: Told<never> = { value: undefined, source: '', reason: undefined }

export function told<Value>(value: Value | undefined, source: string): Told<Value> {
  return { value, source, reason: undefined }
}

export function ssh<Value>(fact: Fact<Value> | undefined): Told<Value> {
  if (fact === undefined) return nothing
  return fact.kind === 'read'
    ? { value: fact.value, source: fact.source, reason: undefined }
    : { value: undefined, source: fact.source, reason: `${fact.source}: ${fact.reason}` }
}

export function merge<Value>(
  api: Told<Value>,
  node: Told<Value>,
  isSame: (api: Value, ssh: Value) => boolean,
): Merged<Value> {
  if (api.value === undefined && node.value === undefined)
    return { kind: 'unread', reason: node.reason ?? nobody }
  if (node.value === undefined)
    return api.value === undefined
      ? { kind: 'unread', reason: nobody }
      : { kind: 'told', value: api.value, source: api.source }
  if (api.value === undefined) return { kind: 'told', value: node.value, source: node.source }
  const sources = [api.source, node.source] as const
  return isSame(api.value, node.value)
    ? { kind: 'agreed', value: node.value, sources }
    : { kind: 'disagreement', api: api.value, ssh: node.value, sources }
}

export function same<Value>(a: Value, b: Value): boolean {
  return a === b
}
