/** A duration in words with its two largest units: `3 min 20 s`, `2 h 5 min`, `1 d 4 h`. Below a second: `0 s`. */
export function formatDuration(seconds: number): string {
  const total = Number.isFinite(seconds) ? Math.max(0, Math.floor(seconds)) : 0
  if (total < 60) return `${total} s`
  if (total < 3600) return twoUnits(total, 60, 'min', 1, 's')
  if (total < 86_400) return twoUnits(total, 3600, 'h', 60, 'min')
  return twoUnits(total, 86_400, 'd', 3600, 'h')
}

/** What is left of a run, in words; empty when nothing is known. `seconds` as of `remainingSeconds`. */
export function formatRemaining(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return ''
  if (seconds < 60) return 'almost there'
  // Minutes are as exact as an estimate gets; rounding up, because an early end annoys nobody.
  return `about ${formatDuration(Math.ceil(seconds / 60) * 60)} left`
}

/** `HH:MM:SS` in the time zone of this workstation, which is what the operator's own clock shows. */
export function formatTimeOfDay(milliseconds: number): string {
  const date = new Date(milliseconds)
  if (Number.isNaN(date.getTime())) return '--:--:--'
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':')
}

function twoUnits(total: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((total % large) / small)
  const first = `${Math.floor(total / large)} ${largeName}`
  return rest === 0 ? first : `${first} ${rest} ${smallName}`
}
