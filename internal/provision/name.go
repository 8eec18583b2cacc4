package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// longest is what a label's value, and the name of a Service, may have.
const longest = validation.DNS1035LabelMaxLength

// Name is that of all objects of a Gateway.
func Name(g *gwapiv1.Gateway) string { return name(g.Name, string(g.Spec.GatewayClassName)) }

// name is that of all objects of a Gateway: <gateway>-<class>, as GEP-1762 has it. Where that is no name of a Service, or
// where with a dash in the class another Gateway's could be the same, it is shortened, and ends with a hash of both.
func name(gateway, class string) string {
	plain := gateway + "-" + class
	if !strings.Contains(class, "-") && len(validation.IsDNS1035Label(plain)) == 0 {
		return plain
	}
	return hashed(plain, gateway+"/"+class)
}

// labelValue is the name of a Gateway as the value of a label.
func labelValue(gateway string) string {
	if len(gateway) <= longest {
		return gateway
	}
	return hashed(gateway, gateway)
}

// hashed is what a DNS label can have of a text, and a hash of the whole.
func hashed(text, whole string) string {
	sum := sha256.Sum256([]byte(whole))
	hash := hex.EncodeToString(sum[:5])
	text = strings.ReplaceAll(text, ".", "-")
	if text[0] < 'a' {
		text = "g" + text // a label begins with a letter (RFC 1035, section 2.3.1)
	}
	if most := longest - len("-") - len(hash); len(text) > most {
		text = text[:most]
	}
	return strings.TrimRight(text, "-") + "-" + hash
}
