/** The groups that the pages and the OpenAPI document show routes in. */
import type { Route } from '../api/route';

export interface Resource {
    readonly name: string;
    readonly description: string;
    /** The paths that belong to it, unless they belong to one before it. */
    readonly paths: RegExp;
}

const REST: Resource = {
    name: 'Server',
    description: 'The server itself: whether it is there, what it remembers, whom it knows.',
    paths: /^\/(ping|healthz|readyz|state|authkeys\/reload)$/,
};

export const resources: readonly Resource[] = [
    {
        name: 'Files',
        description: 'The files of images. An image has one, seldom several.',
        paths: /^\/images\/:uuid\/file/,
    },
    { name: 'Icons', description: 'The icons of images.', paths: /^\/images\/:uuid\/icon$/ },
    {
        name: 'Access',
        description: 'Who may use an image that is not public.',
        paths: /^\/images\/:uuid\/acl$/,
    },
    {
        name: 'Jobs',
        description: 'Work that goes on after the request that began it was answered.',
        paths: /^\/jobs|\/jobs$/,
    },
    { name: 'Images', description: 'Images, as their manifests describe them.', paths: /^\/images/ },
    {
        name: 'Channels',
        description: 'Channels, which divide the images of one server.',
        paths: /^\/channels/,
    },
    REST,
    {
        name: 'Legacy',
        description: 'Paths of the first version of the API, which lead to those of today.',
        paths: /^\/datasets/,
    },
    {
        name: 'Documentation',
        description: 'This documentation.',
        paths: /^\/($|docs|favicon\.ico$)/,
    },
];

/** The order in which readers look for them. */
const SHOWN = ['Images', 'Files', 'Icons', 'Access', 'Channels', 'Jobs', 'Server', 'Documentation', 'Legacy'];

export function resourceOf({ path }: Pick<Route, 'path'>): Resource {
    return resources.find(({ paths }) => paths.test(path)) ?? REST;
}

/** The groups that have routes, in the order of the pages, with their routes in the order of the table. */
export function byResource<T extends Pick<Route, 'path'>>(
    routes: readonly T[],
): { resource: Resource; routes: T[] }[] {
    return [...resources]
        .sort((a, b) => SHOWN.indexOf(a.name) - SHOWN.indexOf(b.name))
        .map((resource) => ({
            resource,
            routes: routes.filter((route) => resourceOf(route) === resource),
        }))
        .filter((group) => group.routes.length > 0);
}
