package cli

import (
	"path/filepath"
	"strconv"
	"strings"
)

// checkCards reads the wear that eMMC and some SD cards tell: JEDEC JESD84-B51, life time
// estimates in steps of 10 % and the state of the spare blocks.
func checkCards(m *machine) []finding {
	const name = "card"
	cards, _ := filepath.Glob(filepath.Join(m.root, "sys/block/mmcblk*[0-9]/device")) // the pattern is well-formed
	var found []finding
	for _, dir := range cards {
		device := filepath.Base(filepath.Dir(dir))
		if strings.Contains(device, "boot") {
			continue
		}
		under := strings.TrimPrefix(dir, m.root)
		found = append(found, m.card(name, device, under))
	}
	return found
}

func (m *machine) card(name, device, dir string) finding {
	const replace = "restore onto another one soon; PICLOUD_DURABILITY=relaxed writes less"
	life, _ := m.read(dir + "/life_time")
	spare, _ := m.read(dir + "/pre_eol_info")
	worst := 0
	for field := range strings.FieldsSeq(life) {
		worst = max(worst, hexNumber(field))
	}
	eol := hexNumber(spare)
	switch {
	case worst == 0 && eol == 0:
		return ok(name, "%s doesn't tell its wear", device)
	case worst >= 0x0b || eol >= 3:
		return fail(name, replace, "%s is worn out", device)
	case worst >= 9 || eol == 2:
		return warn(name, replace, "%s has used %s of its life", device, used(worst))
	}
	return ok(name, "%s has used %s of its life", device, used(worst))
}

// used is a life time estimate for people.
func used(step int) string {
	if step == 0 {
		return "most of its spare blocks, and an unknown part"
	}
	return "up to " + strconv.Itoa(10*step) + " %"
}

func hexNumber(s string) int {
	n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(s), "0x"), 16, 64)
	if err != nil || n < 0 || n > 1<<31-1 {
		return 0
	}
	return int(n)
}

// Bits of get_throttled.
const (
	underVoltage     = 1 << 0
	cappedFrequency  = 1 << 1
	throttled        = 1 << 2
	softLimit        = 1 << 3
	happenedBefore   = 16 // the same, since boot, this many bits higher
	throttledFile    = "sys/devices/platform/soc/soc:firmware/get_throttled"
	powerSupply      = "use the power supply made for this board and a short cable, and let disks have power of their own"
	voltageAlarmGlob = "sys/class/hwmon/hwmon*/in0_lcrit_alarm"
)

// checkPower tells whether the voltage fell: the most frequent cause of damaged cards.
func checkPower(m *machine) []finding {
	const name = "power"
	text, known := m.read(throttledFile)
	if !known {
		return m.voltageAlarm(name)
	}
	bits := hexNumber(text)
	switch before := bits >> happenedBefore; {
	case bits&underVoltage != 0:
		return []finding{fail(name, powerSupply, "the voltage is too low")}
	case before&underVoltage != 0:
		return []finding{warn(name, powerSupply, "the voltage was too low since the last boot")}
	case bits&(cappedFrequency|throttled|softLimit) != 0:
		return []finding{warn(name, "cool the board", "the processor is slowed down")}
	case before&(throttled|softLimit) != 0:
		return []finding{warn(name, "cool the board", "the processor was slowed down since the last boot")}
	}
	return []finding{ok(name, "no undervoltage since the last boot")}
}

// voltageAlarm asks the sensor that newer kernels have.
func (m *machine) voltageAlarm(name string) []finding {
	alarms, _ := filepath.Glob(filepath.Join(m.root, voltageAlarmGlob)) // the pattern is well-formed
	for _, path := range alarms {
		if text, _ := m.read(strings.TrimPrefix(path, m.root)); text == "1" {
			return []finding{fail(name, powerSupply, "the voltage was too low")}
		}
	}
	if len(alarms) == 0 {
		return nil // this machine doesn't tell
	}
	return []finding{ok(name, "no undervoltage")}
}

// Degrees Celsius, in thousandths.
const (
	hot    = 80_000
	tooHot = 85_000
)

func checkHeat(m *machine) []finding {
	const name = "heat"
	text, _ := m.read("sys/class/thermal/thermal_zone0/temp")
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return nil
	case n >= tooHot:
		return []finding{fail(name, "cool the board: a heat sink, a fan, air around it", "the processor has %d °C and slows down", n/1000)}
	case n >= hot:
		return []finding{warn(name, "cool the board: a heat sink, a fan, air around it", "the processor has %d °C", n/1000)}
	}
	return []finding{ok(name, "%d °C", n/1000)}
}
