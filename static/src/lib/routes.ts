import type { App, Route } from '../api/types';

/** Where a route answers: as text with its variable parts, and as an address to copy. */
export function routeAddress(app: App, r: Route): { text: string; url: string } {
  if (r.host_kind !== 'any' && r.host) {
    const text = r.host + r.path;
    return { text, url: `${location.protocol}//${text}` };
  }
  // Where routes of several apps are equal, the oldest app answers on hosts that nobody has
  // claimed: that is "default". The others are certain to answer under their slug.
  const prefix = app.slug === 'default' ? '' : '/~' + app.slug;
  return { text: prefix + r.path + (r.path_kind === 'prefix' ? '/…' : ''), url: location.origin + prefix + r.path };
}
