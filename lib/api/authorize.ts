/** What a caller may do: by its role, and by the channels that it has the role in (daemon.md §5). */
import type { Principal } from '../auth/driver';
import { ROLES } from '../config/auth';
import type { Role } from '../config/types';
import { ApiError } from '../errors';
import { computeState } from '../images/access';
import type { Image } from '../images/image';
import { show } from '../images/json';
import type { RawImage } from '../manifest';
import type { Call } from './call';

const rank = (role: Role): number => ROLES.indexOf(role);

/** @throws ApiError NotAuthorized if the role of the caller is too small for the route, or for a parameter of it */
export function assertRole({ route, query }: Call, { user, role }: Principal): void {
    const { name, role: needed, parameters } = route;
    const refuseSmaller = (least: Role | undefined, what: string): void => {
        if (least !== undefined && rank(role) < rank(least)) {
            throw new ApiError(
                'NotAuthorized',
                `User ${show(user)} has the role "${role}"; ${what} needs the role "${least}".`,
            );
        }
    };
    refuseSmaller(needed, name);
    for (const parameter of parameters) {
        if (parameter.role !== undefined && query.has(parameter.name)) {
            refuseSmaller(parameter.role, `${name} with the parameter "${parameter.name}"`);
        }
    }
}

/** Of a signature and a certificate either suffices: the one that may do more counts, or the first. */
export function strongerOf(one: Principal | undefined, other: Principal | undefined): Principal | undefined {
    if (!one || !other) {
        return one ?? other;
    }
    const difference = rank(one.role) - rank(other.role);
    const isLess = difference < 0 || (difference === 0 && one.channels !== undefined && !other.channels);
    return isLess ? other : one;
}

/**
 * Whether the caller is known, and its role counts in the channel of the request. One whose role counts in some channels
 * only is nobody in particular elsewhere, and where all channels are asked for.
 */
export function isTrusted({ state: { principal, channel } }: Call): boolean {
    return (
        principal !== undefined &&
        (principal.channels === undefined || (channel !== undefined && principal.channels.has(channel)))
    );
}

/** Whether lists show the caller images in every state; in a datacenter they do so to everybody, unless told not to. */
export function listsAll(call: Call): boolean {
    const { mode, auth } = call.services.config;
    return isTrusted(call) || (mode === 'dc' && !auth.hideUnpublished);
}

/** Whether the caller sees what only operators see of images: in a datacenter everybody does. */
export function seesAdminFields(call: Call): boolean {
    return call.services.config.mode === 'dc' || isTrusted(call);
}

/** Whether the caller is not even to know that the image is there (`auth.hideUnpublished`). */
export function isHidden(call: Call, { raw }: Image): boolean {
    return (
        call.services.config.auth.hideUnpublished &&
        computeState(raw) !== 'active' &&
        !(isTrusted(call) && hasOwnChannel(call, raw))
    );
}

function hasOwnChannel({ state: { principal } }: Call, { channels }: RawImage): boolean {
    const own = principal?.channels;
    return !own || (Array.isArray(channels) && channels.some((channel) => own.has(channel)));
}

/** @throws ApiError NotAuthorized if the caller may change images in some channels only, and not in this one */
export function assertInChannel({ state: { principal } }: Call, channel: string): void {
    const own = principal?.channels;
    if (own && !own.has(channel)) {
        throw new ApiError('NotAuthorized', `${limits(principal, own)}, not in ${show(channel)}.`);
    }
}

/**
 * An image is the same in all of its channels, so whoever changes it does so in all of them.
 *
 * @param raw the image as it is, or as it would be; it need not be valid
 * @throws ApiError NotAuthorized if the caller may change images in some channels only, and the image is in another
 */
export function assertInAllChannels({ state: { principal } }: Call, { uuid, channels }: RawImage): void {
    const own = principal?.channels;
    if (!own || !Array.isArray(channels)) {
        return;
    }
    const foreign = channels.find((channel) => !own.has(channel));
    if (foreign !== undefined) {
        throw new ApiError(
            'NotAuthorized',
            `${limits(principal, own)}, and this would change image ${uuid} in ${show(foreign)} as well.`,
        );
    }
}

function limits({ user }: Principal, channels: ReadonlySet<string>): string {
    return `User ${show(user)} may change images in ${[...channels].map(show).join(', ')} only`;
}
