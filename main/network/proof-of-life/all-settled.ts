/**
 * Like `Promise.all`, but waits for every one before it rejects: nothing of a step may still be running on a node when
 * the next step begins, least of all when the next step takes the address away.
 */
export async function allSettled<T extends readonly unknown[]>(
  work: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T>
export async function allSettled<T>(work: readonly Promise<T>[]): Promise<T[]>
export async function allSettled(work: readonly Promise<unknown>[]): Promise<unknown[]> {
  const results = await Promise.allSettled(work)
  return results.map((result) => {
    if (result.status === 'rejected') throw asError(result.reason)
    return result.value
  })
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
