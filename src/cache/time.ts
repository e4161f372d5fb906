/** Text that ends with a time of day, and without a zone. */
const WITHOUT_ZONE = /[T\s]\d\d:\d\d(:\d\d(\.\d+)?)?$/;

/** A date, or a date and a time, in milliseconds since 1970. Without a zone it is UTC, as all times here are shown. */
export function parseTime(text: string): number | undefined {
  // Date.parse would take it for the zone of this machine.
  const time = Date.parse(WITHOUT_ZONE.test(text) ? `${text}Z` : text);
  return Number.isNaN(time) ? undefined : time;
}
