/** Reasons that are an answer in themselves: the question went out rightly, and the server is at fault. */
export const noAnswer = 'no answer'
export const unresolved = 'its name has no address'
export const strangeAnswer = 'an answer that cannot be understood'

/** For everything else that was not read nobody knows whose fault it is. */
export function isServersFault(reason: string): boolean {
  return reason === noAnswer || reason === unresolved || reason === strangeAnswer
}
