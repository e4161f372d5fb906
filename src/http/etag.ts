/** Whether `If-None-Match` contains this strong entity tag, by weak comparison (RFC 9110, 13.1.2). */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true;
  return tagsOf(ifNoneMatch).some((tag) => tag.replace(/^W\//, '') === etag);
}

/** Whether `If-Match` allows the request, by strong comparison (RFC 9110, 13.1.1). */
export function allowsEtag(ifMatch: string | undefined, etag: string): boolean {
  return ifMatch === undefined || ifMatch.trim() === '*' || tagsOf(ifMatch).includes(etag);
}

function tagsOf(list: string): readonly string[] {
  return list.split(',').map((tag) => tag.trim());
}
