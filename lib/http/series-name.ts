import type { Route } from '../api/route';

/** Rows whose name is another one in the series: those that the original server had under it. */
const NAMES: Readonly<Record<string, string>> = {
    GetFavicon: 'favicon',
    GetSecondImageFile: 'getimagefile',
    ListImageJobs: 'getimagejobs',
    RedirectRoot: 'get100200',
    RedirectDocs: 'getdocs100200',
};

/** POST to these paths does what its `action` says, under one name. */
const ACTIONS: Readonly<Record<string, string>> = {
    '/images': 'createimage',
    '/images/:uuid': 'updateimage',
    '/images/:uuid/acl': 'addimageacl',
};

function nameOf({ name, method, path }: Route): string {
    const action = method === 'POST' ? ACTIONS[path] : undefined;
    return action ?? NAMES[name] ?? (name.startsWith('PublicDocs') ? 'publicdocs' : name.toLowerCase());
}

const known = new WeakMap<Route, string>();

/** The label `route` of a request (metrics-and-extras.md §1.1). */
export function seriesName(route: Route | undefined): string {
    if (!route) {
        return 'unknown';
    }
    let name = known.get(route);
    if (name === undefined) {
        name = nameOf(route);
        known.set(route, name);
    }
    return name;
}
