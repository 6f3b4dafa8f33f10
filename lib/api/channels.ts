/** Channels: the views of a repository that clients choose among (endpoints.md §3 ListChannels, channel-add). */
import { isObject } from '../images/json';
import { assertInChannel } from './authorize';
import type { Call } from './call';
import { mutate, sendImage } from './mutate';
import { unknownChannel } from './steps';

/** The channels as they are configured. */
export function listChannels(call: Call): void {
    call.send(200, call.services.config.channels ?? []);
}

/** The channel that the body names. @throws ApiError ValidationFailed if there is none of that name */
function givenChannel(call: Call): string {
    const { channels = [] } = call.services.config;
    const { body } = call.state;
    const given = isObject(body) ? body.channel : undefined;
    const known = channels.find(({ name }) => name === given);
    if (!known) {
        throw unknownChannel('The field "channel" of the request body', given, channels);
    }
    return known.name;
}

export async function addImageToChannel(call: Call): Promise<void> {
    const { images } = call.services;
    const channel = givenChannel(call);
    assertInChannel(call, channel);
    const saved = await mutate(call, async (current) => {
        const { channels = [] } = current.raw;
        return channels.includes(channel)
            ? current
            : images.save(current, { ...current.raw, channels: [...channels, channel] });
    });
    sendImage(call, saved);
}
