/** Text that ends with a time of day without a zone. */
const WITHOUT_ZONE = /[T\s]\d\d:\d\d(:\d\d(\.\d+)?)?$/;

/** Parses a date, or a date and a time, into milliseconds since 1970; UTC without a zone, whatever the zone of this machine. */
export function parseTime(text: string): number | undefined {
  // Date.parse would assume the zone of this machine.
  const time = Date.parse(WITHOUT_ZONE.test(text) ? `${text}Z` : text);
  return Number.isNaN(time) ? undefined : time;
}

/** `2010-01-01 00:00 UTC` */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
