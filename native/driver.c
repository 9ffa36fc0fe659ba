/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#define DRIVER_ENTRY(suffix, name) [TTF_DRIVER_##suffix] = &ttf_driver_##name,

const struct ttf_driver_ops *ttf_driver_ops(uint32_t number)
{
	static const struct ttf_driver_ops *const drivers[] = { TTF_DRIVERS(DRIVER_ENTRY) };

	return number < sizeof(drivers) / sizeof(drivers[0]) ? drivers[number] : NULL;
}
